//! What the writer of a store counts, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the writer has done since the store was opened.
#[derive(Debug, Clone, PartialEq)]
pub struct WriterStats {
    /// Changes that wait now.
    pub queued: usize,
    /// Pages (of 4 kB) in the write-ahead log after the last commit; pages that the database has already included.
    pub wal_pages: u64,
    /// Batches that failed as a whole.
    pub failures: u64,
    /// Accepted changes of each commit.
    pub commit_sizes: Histogram,
    /// Time of each commit, from its first statement until it was durable, in seconds.
    pub commit_seconds: Histogram,
}

/// How often values were at most as large as each bound, in the manner of Prometheus.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Upper bounds and how many values are at most as large; the last bound is infinite.
    pub buckets: Vec<(f64, u64)>,
    /// The sum of all values.
    pub sum: f64,
}

impl Histogram {
    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.buckets.last().map_or(0, |(_, count)| *count)
    }
}

const SIZE_BOUNDS: [u64; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
const MICROS_BOUNDS: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];

/// The counters behind [`WriterStats`]: written by the writer, read by anyone.
#[derive(Debug)]
pub struct Counters {
    failures: AtomicU64,
    wal_pages: AtomicU64,
    sizes: Tallies<{ SIZE_BOUNDS.len() }>,
    micros: Tallies<{ MICROS_BOUNDS.len() }>,
}

impl Default for Counters {
    /// Nothing was done yet.
    fn default() -> Self {
        Self {
            failures: AtomicU64::new(0),
            wal_pages: AtomicU64::new(0),
            sizes: Tallies::new(SIZE_BOUNDS),
            micros: Tallies::new(MICROS_BOUNDS),
        }
    }
}

impl Counters {
    /// A commit of so many accepted changes.
    pub fn committed(&self, changes: usize, took: Duration) {
        self.sizes.add(changes as u64);
        self.micros.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// A batch that failed as a whole.
    pub fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// What the log is now.
    pub fn set_wal_pages(&self, pages: u64) {
        self.wal_pages.store(pages, Ordering::Relaxed);
    }

    /// What the log was after the last commit.
    pub fn wal_pages(&self) -> u64 {
        self.wal_pages.load(Ordering::Relaxed)
    }

    /// Everything, beside how many changes wait now.
    pub fn read(&self, queued: usize) -> WriterStats {
        WriterStats {
            queued,
            wal_pages: self.wal_pages(),
            failures: self.failures.load(Ordering::Relaxed),
            commit_sizes: self.sizes.read(1.0),
            commit_seconds: self.micros.read(1e-6),
        }
    }
}

#[derive(Debug)]
struct Tallies<const N: usize> {
    bounds: [u64; N],
    counts: [AtomicU64; N],
    /// Values above the last bound.
    beyond: AtomicU64,
    sum: AtomicU64,
}

impl<const N: usize> Tallies<N> {
    fn new(bounds: [u64; N]) -> Self {
        let counts = std::array::from_fn(|_| AtomicU64::new(0));
        Self { bounds, counts, beyond: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }

    fn add(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts.get(bucket).unwrap_or(&self.beyond).fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    fn read(&self, unit: f64) -> Histogram {
        let bounds = self.bounds.iter().map(|bound| *bound as f64 * unit).chain([f64::INFINITY]);
        let mut at_most = 0;
        let counts = self.counts.iter().chain([&self.beyond]).map(|count| {
            at_most += count.load(Ordering::Relaxed);
            at_most
        });
        let buckets = bounds.zip(counts).collect();
        Histogram { buckets, sum: self.sum.load(Ordering::Relaxed) as f64 * unit }
    }
}
