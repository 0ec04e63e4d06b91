//! Numbers for Prometheus. Labels are route templates, reasons and outcomes: bounded, and never a secret.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use countersign_authority::{Authority, Census};
use countersign_domain::usage::Door;
use countersign_domain::verdict::Reason;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds, in seconds, of the buckets for requests of the API.
const API_BOUNDS: [f64; 10] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];
/// Upper bounds, in nanoseconds, of the buckets for decisions of a door.
const DOOR_BOUNDS_NANOS: [u64; 8] = [1_000, 2_000, 5_000, 10_000, 25_000, 100_000, 1_000_000, 10_000_000];

/// The store's own numbers, asked for whenever metrics are read.
#[derive(Debug, Clone, Default)]
pub struct StoreNumbers {
    /// Changes that wait for the writer.
    pub queue_length: u64,
    /// How many may wait.
    pub queue_capacity: u64,
    /// Commits that failed: none of their changes was confirmed.
    pub failed_commits: u64,
    /// Of the embedded store: pages in the write-ahead log, those that the database has already included among them.
    pub wal_pages: Option<u64>,
    /// Seconds each commit took.
    pub commit_seconds: Distribution,
    /// Changes made durable by each commit.
    pub commit_changes: Distribution,
}

/// Observations in buckets.
#[derive(Debug, Clone, Default)]
pub struct Distribution {
    /// Sum of all observations.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
    /// Upper bound and number of observations at or below it but above the bound before; the last bound is
    /// infinite.
    pub buckets: Vec<(f64, u64)>,
}

/// Where the store's numbers come from.
pub type StoreGauges = dyn Fn() -> StoreNumbers + Send + Sync;

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    api_requests: Family<ApiLabels, Counter>,
    api_seconds: Family<RouteLabels, Histogram>,
    doors: Arc<DoorNumbers>,
    census: CensusGauges,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApiLabels {
    route: String,
    method: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    door: Word,
    outcome: Word,
    reason: Word,
}

/// A word from a fixed vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Word(&'static str);

impl EncodeLabelValue for Word {
    fn encode(&self, encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>) -> fmt::Result {
        EncodeLabelValue::encode(&self.0, encoder)
    }
}

#[derive(Default)]
struct CensusGauges {
    service_tokens: Gauge,
    access_tokens: Gauge,
    expired: Gauge,
    expiring_7d: Gauge,
    expiring_30d: Gauge,
}

impl Metrics {
    pub(crate) fn new(authority: Arc<Authority>, store: Arc<StoreGauges>) -> Self {
        let mut registry = Registry::with_prefix("countersign");
        let api_requests = Family::<ApiLabels, Counter>::default();
        registry.register("api_requests", "Requests to the API, by route template", api_requests.clone());
        let api_seconds =
            Family::<RouteLabels, Histogram>::new_with_constructor(|| Histogram::new(API_BOUNDS));
        registry.register_with_unit(
            "api_request_duration",
            "Time from a request's head to its answer's head",
            Unit::Seconds,
            api_seconds.clone(),
        );
        let census = CensusGauges::default();
        for (name, help, gauge) in [
            ("directory_service_tokens", "Service tokens that doors know", &census.service_tokens),
            ("directory_access_tokens", "Access tokens that doors know", &census.access_tokens),
            ("directory_expired_tokens", "Tokens that doors know and that have expired", &census.expired),
            (
                "service_tokens_expiring_7d",
                "Enabled service tokens that expire within 7 days",
                &census.expiring_7d,
            ),
            (
                "service_tokens_expiring_30d",
                "Enabled service tokens that expire within 30 days",
                &census.expiring_30d,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
        let doors = Arc::new(DoorNumbers::default());
        registry.register_collector(Box::new(Scrape { doors: Arc::clone(&doors), authority, store }));
        Self { registry, api_requests, api_seconds, doors, census }
    }

    /// Counts a request of the API. `route` is a template.
    pub(crate) fn count_api(&self, route: &str, method: &str, status: u16, took: Duration) {
        let labels = ApiLabels { route: route.into(), method: method.into(), status };
        self.api_requests.get_or_create(&labels).inc();
        self.api_seconds.get_or_create(&RouteLabels { route: route.into() }).observe(took.as_secs_f64());
    }

    /// Counts a decision. `None` = granted.
    pub(crate) fn count_verdict(&self, door: Door, reason: Option<Reason>) {
        self.doors.verdicts[door as usize][reason.map_or(0, |reason| reason as usize + 1)]
            .fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that a door could not decide because too little is known.
    pub(crate) fn count_unready(&self) {
        self.doors.unready.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes note of how long `/authz` took to decide.
    pub(crate) fn observe_door(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = DOOR_BOUNDS_NANOS.iter().position(|bound| nanos <= *bound);
        self.doors.buckets[bucket.unwrap_or(DOOR_BOUNDS_NANOS.len())].fetch_add(1, Ordering::Relaxed);
        self.doors.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Takes in what a census of the directory found.
    pub fn record_census(&self, census: Census) {
        let set = |gauge: &Gauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        set(&self.census.service_tokens, census.service_tokens);
        set(&self.census.access_tokens, census.access_tokens);
        set(&self.census.expired, census.expired);
        set(&self.census.expiring_7d, census.expiring_7d);
        set(&self.census.expiring_30d, census.expiring_30d);
    }

    /// The text format (OpenMetrics) of everything.
    pub(crate) fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Counters of the doors: plain atomics, because a look-up by label would cost a tenth of a verification.
#[derive(Debug, Default)]
struct DoorNumbers {
    /// By door; the first of each is "granted", then one for each reason.
    verdicts: [[AtomicU64; Reason::ALL.len() + 1]; Door::ALL.len()],
    unready: AtomicU64,
    buckets: [AtomicU64; DOOR_BOUNDS_NANOS.len() + 1],
    sum_nanos: AtomicU64,
}

/// What is read afresh at each scrape.
struct Scrape {
    doors: Arc<DoorNumbers>,
    authority: Arc<Authority>,
    store: Arc<StoreGauges>,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_verdicts(&mut encoder)?;
        let usage = self.authority.usage_stats();
        let pending = usage.pending as u64;
        gauge(&mut encoder, "usage_pending", "Secrets whose uses wait to be written", pending)?;
        counter(
            &mut encoder,
            "usage_dropped",
            "Sightings that found no room and were not recorded",
            usage.dropped,
        )?;
        if let Some(left) = self.authority.lease_left() {
            let help = "For how much longer all that other nodes changed is known";
            seconds(&mut encoder, "lease", help, left)?;
        }
        let reloads = self.authority.directory().reloads();
        counter(&mut encoder, "directory_reloads", "How often everything was read afresh", reloads)?;
        let store = (self.store)();
        gauge(&mut encoder, "store_queue_length", "Changes that wait for the writer", store.queue_length)?;
        gauge(
            &mut encoder,
            "store_queue_capacity",
            "Changes that may wait for the writer",
            store.queue_capacity,
        )?;
        let help = "Commits that failed, with all their changes";
        counter(&mut encoder, "store_commits_failed", help, store.failed_commits)?;
        if let Some(pages) = store.wal_pages {
            let help = "Pages in the write-ahead log, included in the database or not";
            gauge(&mut encoder, "store_wal_pages", help, pages)?;
        }
        let unit = Some(&Unit::Seconds);
        let help = "Time a commit took";
        histogram(&mut encoder, "store_commit_duration", help, unit, &store.commit_seconds)?;
        let help = "Changes made durable by a commit";
        histogram(&mut encoder, "store_commit_changes", help, None, &store.commit_changes)
    }
}

impl Scrape {
    fn encode_verdicts(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Decisions, by door, outcome and reason";
        let mut verdicts = encoder.encode_descriptor("verdicts", help, None, MetricType::Counter)?;
        for door in Door::ALL {
            let outcomes = std::iter::once(("granted", ""))
                .chain(Reason::ALL.into_iter().map(|reason| ("denied", reason.as_str())));
            for (number, (outcome, reason)) in outcomes.enumerate() {
                let count = self.doors.verdicts[door as usize][number].load(Ordering::Relaxed);
                let labels =
                    VerdictLabels { door: Word(door.as_str()), outcome: Word(outcome), reason: Word(reason) };
                let mut one = verdicts.encode_family(&labels)?;
                one.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        let unready = self.doors.unready.load(Ordering::Relaxed);
        counter(
            encoder,
            "door_unready",
            "Requests to a door while the directory was not loaded or the lease had lapsed",
            unready,
        )?;
        let count = |index: usize| self.doors.buckets[index].load(Ordering::Relaxed);
        let bounds = DOOR_BOUNDS_NANOS.iter().map(|nanos| *nanos as f64 / 1e9).chain([f64::MAX]);
        let buckets: Vec<_> = bounds.enumerate().map(|(index, bound)| (bound, count(index))).collect();
        let door_seconds = Distribution {
            sum: self.doors.sum_nanos.load(Ordering::Relaxed) as f64 / 1e9,
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
        };
        let help = "Time /authz took to decide";
        histogram(encoder, "door_duration", help, Some(&Unit::Seconds), &door_seconds)
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let mut one = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    one.encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX))
}

fn seconds(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, span: Duration) -> fmt::Result {
    let mut one = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
    one.encode_gauge(&span.as_secs_f64())
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let mut one = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    one.encode_counter::<NoLabelSet, _, u64>(&value, None)
}

fn histogram(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    numbers: &Distribution,
) -> fmt::Result {
    let mut one = encoder.encode_descriptor(name, help, unit, MetricType::Histogram)?;
    let last_is_infinite = numbers.buckets.iter().map(|(bound, count)| {
        let is_last = !bound.is_finite();
        (if is_last { f64::MAX } else { *bound }, *count)
    });
    let buckets: Vec<(f64, u64)> = last_is_infinite.collect();
    one.encode_histogram::<NoLabelSet>(numbers.sum, numbers.count, &buckets, None)
}
