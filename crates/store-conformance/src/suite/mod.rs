//! The contract as tests: one function for each promise of the [`Store`](countersign_domain::store::Store).
//!
//! A backend runs all of it with one line, [`store_suite!`](crate::store_suite).

mod p01_together;
mod p02_guards;
mod p03_versions;
mod p04_unique;
mod p05_limits;
mod p06_publishing;
mod p07_facts;
mod p08_filtered;
mod p08_lists;
mod p09_usage;
mod p10_audit;
mod p11_root_tokens;
mod p12_search;
mod p13_sweep;
mod p14_sweep_audit;
mod p15_epochs;
mod p16_lineages;
mod p17_sweep_ended;
mod p18_quotas;
mod p19_keys;

pub use p01_together::promise_01;
pub use p02_guards::promise_02;
pub use p03_versions::promise_03;
pub use p04_unique::promise_04;
pub use p05_limits::promise_05;
pub use p06_publishing::promise_06;
pub use p07_facts::promise_07;
pub use p08_lists::promise_08;
pub use p09_usage::promise_09;
pub use p10_audit::promise_10;
pub use p11_root_tokens::promise_11;
pub use p12_search::promise_12;
pub use p13_sweep::promise_13;
pub use p14_sweep_audit::promise_14;
pub use p15_epochs::promise_15;
pub use p16_lineages::promise_16;
pub use p17_sweep_ended::promise_17;
pub use p18_quotas::promise_18;
pub use p19_keys::promise_19;

/// A test for each promise of the store that `$make` makes, a [`Make`](crate::world::Make). The crate that calls it
/// needs `tokio` with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! store_suite {
    ($make:expr) => {
        $crate::store_suite!(@each $make;
            promise_01 promise_02 promise_03 promise_04 promise_05 promise_06 promise_07
            promise_08 promise_09 promise_10 promise_11 promise_12 promise_13 promise_14
            promise_15 promise_16 promise_17 promise_18 promise_19);
    };
    (@each $make:expr; $($promise:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                $crate::suite::$promise(&$make).await;
            }
        )*
    };
}
