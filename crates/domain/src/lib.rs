//! The rules of Countersign, pure: no runtime, HTTP, SQL, real clock or OS randomness.
//!
//! Values are parsed once into types ([`id`], [`secret`], [`lifetime`], [`scope`], [`name`]); tokens change by
//! transitions that consume the old state ([`service_token`], [`access_token`]); every write is a [`change`] that a
//! [`store`] makes durable; every door asks [`verdict::judge`]. Time comes from [`time::Clock`], randomness from
//! [`entropy::Entropy`].

pub mod access_token;
pub mod access_token_filter;
pub mod access_token_list;
pub mod account;
pub mod allowlist;
pub mod archive;
pub mod audit;
pub mod caller;
pub mod change;
pub mod check;
pub mod demand;
pub mod email;
pub mod entropy;
pub mod error;
pub mod fact;
pub mod fact_digest;
pub mod following;
pub mod id;
pub mod lease;
pub mod lifetime;
pub mod limits;
pub mod lineage;
pub mod name;
pub mod network;
pub mod organization;
pub mod password;
pub mod pattern;
pub mod profile;
pub mod publisher;
pub mod resource;
pub mod restrictions;
pub mod scope;
pub mod search;
pub mod secret;
pub mod service_token;
pub mod signed;
pub mod signing_key;
pub mod stats;
pub mod store;
pub mod time;
pub mod usage;
pub mod verdict;
