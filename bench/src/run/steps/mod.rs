//! The steps of a round, and which rows of the table each of them fills.

mod access;
mod cut_off;
mod doors;
mod faults;
mod list;
mod mixed;
mod nodes;
mod shared;
mod signed;
mod size;
mod tenancy;
mod verify;
mod write;

use anyhow::Result;
use clap::ValueEnum;

use super::bench::Bench;

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "verbatim")]
pub(crate) enum Row {
    V1,
    V2,
    V3,
    V4,
    V5,
    V6,
    A1,
    A2,
    J1,
    J2,
    J3,
    W1,
    W2,
    W3,
    W4,
    M1,
    M2,
    L1,
    L2,
    L3,
    L4,
    P1,
    P2,
    P3,
    P4,
    P5,
    P6,
    R1,
    R2,
    S1,
    S2,
    S3,
}

/// What is measured in one go, because its rows need the same servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// An empty server: S2, R2.
    Empty,
    /// V1.
    Verify,
    /// V2.
    FixedRate,
    /// V4.
    Flood,
    /// V5.
    Access,
    /// V6.
    Doors,
    /// A1.
    Authorized,
    /// A2.
    Login,
    /// J1, J2, J3.
    Signed,
    /// M1.
    Mixed,
    /// M2.
    Checkpoints,
    /// A million tokens: V3, S1, R1.
    Many,
    /// L1, L2.
    List,
    /// L3, L4.
    AccessList,
    /// W1, W2.
    Create,
    /// W3.
    Rotate,
    /// W4.
    Revoke,
    /// S3.
    Kill,
    /// S1 over PostgreSQL.
    StartShared,
    /// P1.
    VerifyShared,
    /// P2.
    CreateShared,
    /// P3, P4.
    Spread,
    /// P5.
    FloodShared,
    /// P6.
    CutOff,
}

impl Row {
    fn steps(self) -> &'static [Step] {
        match self {
            Self::S2 | Self::R2 => &[Step::Empty],
            Self::V1 => &[Step::Verify],
            Self::V2 => &[Step::FixedRate],
            Self::V4 => &[Step::Flood],
            Self::V5 => &[Step::Access],
            Self::V6 => &[Step::Doors],
            Self::A1 => &[Step::Authorized],
            Self::A2 => &[Step::Login],
            Self::J1 | Self::J2 | Self::J3 => &[Step::Signed],
            Self::M1 => &[Step::Mixed],
            Self::M2 => &[Step::Checkpoints],
            Self::V3 | Self::R1 => &[Step::Many],
            Self::S1 => &[Step::Many, Step::StartShared],
            Self::L1 | Self::L2 => &[Step::List],
            Self::L3 | Self::L4 => &[Step::AccessList],
            Self::W1 | Self::W2 => &[Step::Create],
            Self::W3 => &[Step::Rotate],
            Self::W4 => &[Step::Revoke],
            Self::S3 => &[Step::Kill],
            Self::P1 => &[Step::VerifyShared],
            Self::P2 => &[Step::CreateShared],
            Self::P3 | Self::P4 => &[Step::Spread],
            Self::P5 => &[Step::FloodShared],
            Self::P6 => &[Step::CutOff],
        }
    }
}

impl Step {
    /// All, in the order in which a round takes them: what others are compared with comes before them.
    const ALL: [Self; 24] = [
        Self::Empty,
        Self::Verify,
        Self::FixedRate,
        Self::Flood,
        Self::Access,
        Self::Doors,
        Self::Authorized,
        Self::Login,
        Self::Signed,
        Self::Mixed,
        Self::Checkpoints,
        Self::Many,
        Self::List,
        Self::AccessList,
        Self::Create,
        Self::Rotate,
        Self::Revoke,
        Self::Kill,
        Self::StartShared,
        Self::VerifyShared,
        Self::CreateShared,
        Self::Spread,
        Self::FloodShared,
        Self::CutOff,
    ];

    /// Those that fill these rows; all when none is named.
    pub(crate) fn selected(rows: &[Row]) -> Vec<Self> {
        let wanted = |step: &Self| rows.is_empty() || rows.iter().any(|row| row.steps().contains(step));
        Self::ALL.into_iter().filter(wanted).collect()
    }

    /// What it does.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Empty => "start and memory when empty (S2, R2)",
            Self::Verify => "verify (V1)",
            Self::FixedRate => "verify at a fixed rate (V2)",
            Self::Flood => "unknown tokens only (V4)",
            Self::Access => "access tokens at the door (V5)",
            Self::Doors => "the other doors (V6)",
            Self::Authorized => "whose token it is, beside LoopBack 3 (A1)",
            Self::Login => "log in (A2)",
            Self::Signed => "short-lived tokens (J1, J2, J3)",
            Self::Mixed => "verify while others write (M1)",
            Self::Checkpoints => "verify through checkpoints (M2)",
            Self::Many => "a million tokens (V3, S1, R1)",
            Self::List => "lists (L1, L2)",
            Self::AccessList => "lists of access tokens (L3, L4)",
            Self::Create => "create (W1, W2)",
            Self::Rotate => "rotate (W3)",
            Self::Revoke => "revoke, then verify (W4)",
            Self::Kill => "kill -9 while creating (S3)",
            Self::StartShared => "start with a million tokens in PostgreSQL (S1)",
            Self::VerifyShared => "verify over PostgreSQL (P1)",
            Self::CreateShared => "create over PostgreSQL (P2)",
            Self::Spread => "change on one node, verify on the other (P3, P4)",
            Self::FloodShared => "unknown tokens only, over PostgreSQL (P5)",
            Self::CutOff => "a node cut off from PostgreSQL (P6)",
        }
    }

    /// Measures it, and adds to the ledger.
    pub(crate) fn take(self, bench: &mut Bench) -> Result<()> {
        match self {
            Self::Empty => size::empty(bench).map(drop),
            Self::Verify => verify::closed_loop(bench).map(drop),
            Self::FixedRate => verify::fixed_rate(bench).map(drop),
            Self::Flood => verify::flood(bench),
            Self::Access => access::door(bench),
            Self::Doors => doors::others(bench),
            Self::Authorized => access::authorized(bench),
            Self::Login => access::login(bench),
            Self::Signed => signed::tokens(bench),
            Self::Mixed => mixed::with_writes(bench),
            Self::Checkpoints => mixed::through_checkpoints(bench),
            Self::Many => size::many(bench),
            Self::List => list::pages(bench),
            Self::AccessList => tenancy::lists(bench),
            Self::Create => write::create(bench).map(drop),
            Self::Rotate => write::rotate(bench),
            Self::Revoke => faults::revoke(bench),
            Self::Kill => faults::kill(bench),
            Self::StartShared => nodes::start(bench),
            Self::VerifyShared => nodes::verify(bench),
            Self::CreateShared => shared::create(bench),
            Self::Spread => nodes::spread(bench),
            Self::FloodShared => nodes::flood(bench),
            Self::CutOff => cut_off::cut_off(bench),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_fills_a_row_and_runs_once() {
        assert_eq!(Step::selected(&[]), Step::ALL);
        assert_eq!(Step::selected(&[Row::W2, Row::V1, Row::W1]), [Step::Verify, Step::Create]);
        for step in Step::ALL {
            assert!(Row::value_variants().iter().any(|row| row.steps().contains(&step)), "{step:?}");
        }
    }
}
