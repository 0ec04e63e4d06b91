//! What is measured, and how good it must be: the table of `README.md`.

use std::fmt;

use Unit::{Bytes, Count, Megabytes, Micros, Millis, Ratio, Seconds};

/// One number with its goals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Metric {
    VerifyCpu,
    VerifyRate,
    VerifyRateToMap,
    FixedRateP99,
    FixedRateP99ToHyper,
    ManyTokensRate,
    FloodCpu,
    FloodReads,
    AccessCpu,
    AccessCpuToService,
    AccessMemory,
    VerifyApiCpu,
    IntrospectCpu,
    IntrospectCpuOfPeer,
    CheckCpu,
    LimitedCpu,
    AuthorizedCpu,
    AuthorizedCpuToHyper,
    LoginCpu,
    LoginRate,
    SignedFirstCpu,
    ReadCpu,
    SignedAgainCpu,
    MintCpu,
    ExchangeCpu,
    CreateRate,
    CreateRateOnSlowDisk,
    CreateAlone,
    RotateRate,
    GrantsAfterRevoke,
    MixedP99,
    MixedP99ToFixedRate,
    CheckpointP99,
    CheckpointP999,
    Checkpoints,
    ListP99,
    ListCpu,
    ListLastToFirst,
    LongListP99,
    LongListLast,
    Search,
    SearchRefused,
    AccessListP99,
    AccessListCpu,
    FilteredListP99,
    FilteredListToFew,
    TokenMemory,
    EmptyMemory,
    BinarySize,
    StartWithTokens,
    StartShared,
    StartEmpty,
    LostCreates,
    SharedVerifyCpu,
    SharedVerifyCpuWriting,
    SharedCreateRate,
    SharedCreateCpu,
    RevokeSpreadP99,
    RevokeSpreadMax,
    CreateSpreadP99,
    FloodTransactions,
    CutOffGrant,
}

/// What a number must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

/// In what a number is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Times a reference.
    Ratio,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Millions of bytes.
    Megabytes,
    /// A count.
    Count,
}

/// A number's place in the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal {
    /// The row.
    pub(crate) row: &'static str,
    /// What the number is.
    pub(crate) what: &'static str,
    /// In what it is given.
    pub(crate) unit: Unit,
    /// The least that is accepted.
    pub(crate) must: Option<Bound>,
    /// What the machine is thought to allow.
    pub(crate) near: Option<Bound>,
    /// The worst round has to be so, not only the one in the middle.
    pub(crate) worst: bool,
}

/// A row: where it stands, what it is, in what it is given, what it must be, and what the machine is thought to allow.
type Row = (Metric, &'static str, &'static str, Unit, Option<Bound>, Option<Bound>);

/// Every number, in the order of [`Metric`].
const TABLE: &[Row] = &[
    (Metric::VerifyCpu, "V1", "verify: CPU/req, x hyper", Ratio, most(1.5), most(1.25)),
    (Metric::VerifyRate, "V1", "verify: req/s, x hyper", Ratio, None, least(0.8)),
    (Metric::VerifyRateToMap, "V1", "verify: req/s, x map", Ratio, None, least(0.85)),
    (Metric::FixedRateP99, "V2", "at half of V1's req/s: p99", Millis, most(1.0), None),
    (Metric::FixedRateP99ToHyper, "V2", "the same, x hyper's", Ratio, None, most(1.5)),
    (Metric::ManyTokensRate, "V3", "1M tokens: req/s, x that with 1k", Ratio, least(0.85), least(0.95)),
    (Metric::FloodCpu, "V4", "only unknown: CPU/req, x V1's", Ratio, most(1.0), most(0.9)),
    (Metric::FloodReads, "V4", "the same: file reads a request", Count, None, most(0.001)),
    (Metric::AccessCpu, "V5", "access token: CPU/req, x V1's", Ratio, most(1.3), most(1.1)),
    (
        Metric::AccessCpuToService,
        "V5",
        "the same, x a service token's beside it",
        Ratio,
        most(1.3),
        most(1.1),
    ),
    (
        Metric::AccessMemory,
        "V5",
        "memory an access token, its share of accounts too",
        Bytes,
        None,
        most(300.0),
    ),
    (Metric::VerifyApiCpu, "V6", "verify API: CPU/req, x /authz beside it", Ratio, most(2.0), most(1.5)),
    (Metric::IntrospectCpu, "V6", "introspection: CPU/req, x /authz beside it", Ratio, most(1.3), most(1.2)),
    (
        Metric::IntrospectCpuOfPeer,
        "V6",
        "introspection: oidc-provider's CPU/req, x ours",
        Ratio,
        least(20.0),
        None,
    ),
    (Metric::CheckCpu, "V6", "gRPC Check: CPU/req, x /authz beside it", Ratio, most(2.0), most(1.5)),
    (Metric::LimitedCpu, "V6", "/authz with limits: CPU/req, x without", Ratio, most(1.1), most(1.05)),
    (
        Metric::AuthorizedCpu,
        "A1",
        "whose token: LoopBack 3's CPU/req, x ours",
        Ratio,
        least(50.0),
        least(100.0),
    ),
    (Metric::AuthorizedCpuToHyper, "A1", "the same: our CPU/req, x hyper", Ratio, None, most(1.5)),
    (Metric::LoginCpu, "A2", "log in: CPU/req, x argon2id's", Ratio, most(1.2), most(1.05)),
    (Metric::LoginRate, "A2", "the same: req/s, x argon2id's", Ratio, least(0.8), least(0.95)),
    (
        Metric::SignedFirstCpu,
        "J1",
        "JWT, first sight: CPU/req, x /authz and a bare check",
        Ratio,
        most(1.2),
        most(1.1),
    ),
    (Metric::ReadCpu, "J1", "the same without HTTP: CPU, x a bare check", Ratio, most(1.2), most(1.1)),
    (
        Metric::SignedAgainCpu,
        "J2",
        "JWT, seen before: CPU/req, x /authz beside it",
        Ratio,
        most(1.3),
        most(1.2),
    ),
    (Metric::MintCpu, "J3", "mint a JWT without HTTP: CPU, x a bare signature", Ratio, most(1.5), most(1.25)),
    (
        Metric::ExchangeCpu,
        "J3",
        "token endpoint: CPU/req, x introspection and a bare signature",
        Ratio,
        None,
        most(1.2),
    ),
    (Metric::CreateRate, "W1", "create: req/s, x group", Ratio, least(0.5), least(0.6)),
    (Metric::CreateRateOnSlowDisk, "W1", "fdatasync + 2 ms: req/s, x single", Ratio, least(20.0), None),
    (Metric::CreateAlone, "W2", "create, 1 connection: p50, x 1/single", Ratio, most(3.0), most(2.0)),
    (Metric::RotateRate, "W3", "rotate, 1M tokens: req/s, x W1's", Ratio, least(0.7), least(0.9)),
    (Metric::GrantsAfterRevoke, "W4", "grants after a revoke", Count, most(0.0), most(0.0)),
    (Metric::MixedP99, "M1", "V2 while 1,000 writes/s: p99", Millis, most(2.0), None),
    (Metric::MixedP99ToFixedRate, "M1", "the same, x V2's", Ratio, None, most(1.5)),
    (Metric::CheckpointP99, "M2", "V2 through checkpoints: p99", Millis, most(2.0), None),
    (Metric::CheckpointP999, "M2", "the same: p99.9", Millis, None, most(2.0)),
    (Metric::Checkpoints, "M2", "checkpoints meanwhile", Count, least(10.0), None),
    (Metric::ListP99, "L1", "page of an account with 1k tokens: p99", Millis, most(5.0), None),
    (Metric::ListCpu, "L1", "the same: CPU a row", Micros, None, most(5.0)),
    (Metric::ListLastToFirst, "L1", "the same: last page's p50, x first's", Ratio, None, most(1.2)),
    (Metric::LongListP99, "L2", "page of an account with 1M: p99, x L1's", Ratio, most(2.0), most(1.2)),
    (Metric::LongListLast, "L2", "the same: last page's p99", Millis, most(20.0), None),
    (Metric::Search, "L2", "search in an account with 200k: slowest", Millis, most(200.0), None),
    (
        Metric::SearchRefused,
        "L2",
        "search in the one with 1M, refused (400): slowest",
        Millis,
        most(200.0),
        None,
    ),
    (Metric::AccessListP99, "L3", "all of 1k access tokens, ten pages: p99", Millis, most(50.0), most(20.0)),
    (Metric::AccessListCpu, "L3", "the same: CPU a row", Micros, None, most(5.0)),
    (
        Metric::FilteredListP99,
        "L4",
        "filtered list of an account with 1k: p99",
        Millis,
        most(10.0),
        most(5.0),
    ),
    (
        Metric::FilteredListToFew,
        "L4",
        "the same with 1M in all: p50, x that with 10k",
        Ratio,
        most(1.5),
        most(1.2),
    ),
    (Metric::TokenMemory, "R1", "memory a token", Bytes, most(300.0), most(150.0)),
    (Metric::EmptyMemory, "R2", "memory when empty", Megabytes, most(30.0), most(12.0)),
    (Metric::BinarySize, "R2", "the binary", Megabytes, most(40.0), most(20.0)),
    (Metric::StartWithTokens, "S1", "start to first verify, 1M tokens", Seconds, most(5.0), most(1.5)),
    (Metric::StartShared, "S1", "the same over PostgreSQL", Seconds, most(10.0), most(3.0)),
    (Metric::StartEmpty, "S2", "start to first answer, empty", Seconds, most(0.3), most(0.05)),
    (Metric::LostCreates, "S3", "answered creates lost by kill -9", Count, most(0.0), most(0.0)),
    (
        Metric::SharedVerifyCpu,
        "P1",
        "V1 over PostgreSQL: CPU/req with its, x SQLite's",
        Ratio,
        most(1.05),
        most(1.02),
    ),
    (Metric::SharedVerifyCpuWriting, "P1", "the same while uses are written", Ratio, most(1.05), most(1.02)),
    (
        Metric::SharedCreateRate,
        "P2",
        "create over PostgreSQL: req/s, x pgbench",
        Ratio,
        least(0.7),
        least(1.0),
    ),
    (
        Metric::SharedCreateCpu,
        "P2",
        "the same: CPU/req with PostgreSQL's, x pgbench",
        Ratio,
        most(1.4),
        most(1.0),
    ),
    (Metric::RevokeSpreadP99, "P3", "revoked on A, until B refuses: p99", Millis, most(100.0), most(10.0)),
    (Metric::RevokeSpreadMax, "P3", "the same: slowest", Seconds, most(2.0), None),
    (Metric::CreateSpreadP99, "P4", "created on A, until B grants: p99", Millis, most(100.0), most(10.0)),
    (
        Metric::FloodTransactions,
        "P5",
        "V4 on B: transactions in PostgreSQL, x idle",
        Ratio,
        most(1.1),
        most(1.05),
    ),
    (Metric::CutOffGrant, "P6", "B cut off: last grant after its last poll", Seconds, most(2.0), None),
];

const fn most(most: f64) -> Option<Bound> {
    Some(Bound::AtMost(most))
}

const fn least(least: f64) -> Option<Bound> {
    Some(Bound::AtLeast(least))
}

impl Metric {
    /// All, in the order of the table.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(metric, ..)| *metric)
    }

    /// Its goals.
    pub(crate) fn goal(self) -> Goal {
        let (_, row, what, unit, must, near) = TABLE[self as usize];
        Goal { row, what, unit, must, near, worst: self.holds_always() }
    }

    /// What must never happen, what is bounded, and what the other numbers of its round rest on.
    fn holds_always(self) -> bool {
        matches!(
            self,
            Self::GrantsAfterRevoke
                | Self::LostCreates
                | Self::Checkpoints
                | Self::Search
                | Self::SearchRefused
                | Self::RevokeSpreadMax
                | Self::CutOffGrant
        )
    }
}

impl Bound {
    /// Whether `value` keeps it.
    pub(crate) fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl Unit {
    /// A number with as many digits as it is worth.
    pub(crate) fn digits(self, value: f64) -> String {
        match self {
            Self::Ratio if value < 10.0 => format!("{value:.2}"),
            Self::Millis => format!("{value:.2}"),
            Self::Seconds => format!("{value:.3}"),
            Self::Ratio | Self::Micros | Self::Megabytes => format!("{value:.1}"),
            Self::Bytes => format!("{value:.0}"),
            Self::Count => Number(value).to_string(),
        }
    }

    /// What stands behind it.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Ratio => " x",
            Self::Millis => " ms",
            Self::Micros => " us",
            Self::Seconds => " s",
            Self::Bytes => " B",
            Self::Megabytes => " MB",
            Self::Count => "",
        }
    }

    /// A bound with its unit; nothing when there is none.
    pub(crate) fn show_bound(self, bound: Option<Bound>) -> String {
        match bound {
            None => String::new(),
            Some(Bound::AtMost(most)) => format!("<= {}{}", Number(most), self.suffix()),
            Some(Bound::AtLeast(least)) => format!(">= {}{}", Number(least), self.suffix()),
        }
    }
}

/// A number without needless digits.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.4}", self.0);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_is_never_laxer_than_must() {
        for goal in Metric::all().map(Metric::goal) {
            match (goal.must, goal.near) {
                (Some(Bound::AtMost(must)), Some(Bound::AtMost(near))) => assert!(near <= must, "{goal:?}"),
                (Some(Bound::AtLeast(must)), Some(Bound::AtLeast(near))) => assert!(near >= must, "{goal:?}"),
                (None, None) => panic!("{goal:?} has no goal"),
                (Some(_), None) | (None, Some(_)) => {}
                _ => panic!("{goal:?} points two ways"),
            }
        }
    }

    #[test]
    fn every_metric_is_in_the_table_at_its_place() {
        assert!(Metric::all().enumerate().all(|(place, metric)| metric as usize == place));
        assert_eq!(Metric::all().last(), Some(Metric::CutOffGrant));
    }

    #[test]
    fn bounds_hold_on_their_own_edge() {
        assert!(Bound::AtMost(0.0).holds(0.0) && !Bound::AtMost(0.0).holds(1.0));
        assert!(Bound::AtLeast(20.0).holds(20.0) && !Bound::AtLeast(20.0).holds(19.9));
        assert_eq!(Unit::Ratio.show_bound(Some(Bound::AtLeast(20.0))), ">= 20 x");
        assert_eq!(Unit::Count.show_bound(Some(Bound::AtMost(0.001))), "<= 0.001");
        assert_eq!(Unit::Millis.show_bound(None), "");
    }
}
