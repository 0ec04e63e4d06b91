//! The store's numbers in the words of the server's metrics: neither knows the other.

use std::sync::Arc;

use countersign_domain::stats::Histogram;
use countersign_server::{Distribution, StoreGauges, StoreNumbers};

use crate::store::OpenStore;

/// Reads the store's numbers whenever it is asked. `queue` = how many changes may wait.
pub(crate) fn of(store: OpenStore, queue: usize) -> Arc<StoreGauges> {
    Arc::new(move || {
        let stats = store.stats();
        StoreNumbers {
            queue_length: stats.queued as u64,
            queue_capacity: queue as u64,
            failed_commits: stats.failures,
            wal_pages: store.is_embedded().then_some(stats.wal_pages),
            commit_seconds: apart(&stats.commit_seconds),
            commit_changes: apart(&stats.commit_sizes),
        }
    })
}

/// The store counts what is at most as large as a bound, the server what lies between two bounds.
fn apart(histogram: &Histogram) -> Distribution {
    let below = std::iter::once(0).chain(histogram.buckets.iter().map(|(_, count)| *count));
    let buckets = histogram
        .buckets
        .iter()
        .zip(below)
        .map(|((bound, count), below)| (*bound, count.saturating_sub(below)));
    Distribution { sum: histogram.sum, count: histogram.count(), buckets: buckets.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_told_apart() {
        let histogram = Histogram { buckets: vec![(1.0, 2), (4.0, 2), (f64::INFINITY, 7)], sum: 60.0 };
        let distribution = apart(&histogram);
        assert_eq!(distribution.buckets, [(1.0, 2), (4.0, 0), (f64::INFINITY, 5)]);
        assert_eq!((distribution.sum, distribution.count), (60.0, 7));
    }
}
