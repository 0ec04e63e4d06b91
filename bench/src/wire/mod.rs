//! The little HTTP that a generator needs: requests as bytes, answers as a status and a body.

pub(crate) mod check;
pub(crate) mod client;
pub(crate) mod http2;
pub(crate) mod request;
pub(crate) mod response;

/// The root account of every server that is measured.
pub(crate) const ROOT_ACCOUNT: &str = "0192f3c4a5b67c8d9e0f1a2b3c4d5e6f";

/// Its access token. It guards nothing but the data that a measurement made.
pub(crate) const ROOT_TOKEN: &str = "bench-root-token-that-guards-nothing_0123456789";

/// The issuer of the short-lived tokens of every server that is measured with them.
pub(crate) const ISSUER: &str = "https://tokens.bench.test";

/// The scope that doors demand of access tokens.
pub(crate) const SCOPE: &str = "invoices:read";
