//! The load generator: one thread, one `epoll`, requests rendered to bytes before they are due.
//!
//! It must cost less per request than the server it drives, or it would measure itself. So it parses of an
//! answer only what it needs, makes at most one read and one write a request, and keeps nothing but a histogram.

mod connection;
mod engine;
mod lane;
mod pace;
mod report;
mod streams;
mod tally;
mod times;
mod work;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use engine::run;
pub(crate) use report::{LaneReport, Latency, Report};
pub(crate) use times::Times;

/// What to send, to whom, for how long. It comes on standard input as JSON; the [`Report`] leaves on standard
/// output.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The server.
    pub(crate) address: SocketAddr,
    /// Its process, whose CPU time is taken at both ends of the measured time.
    pub(crate) server: Option<u32>,
    /// The process of its database, if that is another one. What it uses counts as the server's.
    #[serde(default)]
    pub(crate) database: Option<u32>,
    /// How long it runs before anything is counted.
    pub(crate) warm_up_ms: u64,
    /// How long it is measured. It ends earlier when no lane has anything left to send.
    pub(crate) measured_ms: u64,
    /// The server is going to be killed: closed connections end the run and are no error.
    #[serde(default)]
    pub(crate) until_closed: bool,
    /// In a closed loop, it never sleeps: where answers take long, the server would have to wake it for each, which costs
    /// the server's kernel more than the answer itself, and which a client on another machine does not ask for.
    #[serde(default)]
    pub(crate) awake: bool,
    /// What runs side by side.
    pub(crate) lanes: Vec<LanePlan>,
}

/// One kind of work on connections of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LanePlan {
    /// What the report calls it.
    pub(crate) name: String,
    /// How many connections; each has at most one request under way, except at a door where it may have more.
    pub(crate) connections: usize,
    /// Requests a second, each timed from when it was due. Without it, a connection sends as soon as it is
    /// free.
    #[serde(default)]
    pub(crate) rate: Option<u64>,
    /// What it sends.
    pub(crate) work: WorkPlan,
}

/// What a lane sends, and which answers are right.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WorkPlan {
    /// Verifies at the door.
    Verify(VerifyPlan),
    /// Shows access tokens: 200 for a live one, 401 for an unknown one.
    Bear(BearPlan),
    /// Exchanges service tokens for short-lived ones: 200 with one each.
    Exchange(ExchangePlan),
    /// Shows short-lived tokens at the door: 200 each.
    BearSigned {
        /// The file they are in, one a line.
        tokens: PathBuf,
        /// Each is shown once; otherwise the shuffled list begins anew at its end.
        once: bool,
    },
    /// Asks npm's `oidc-provider` about its own tokens.
    IntrospectOidc {
        /// The file in which it has written them.
        tokens: PathBuf,
        /// How many that it has not issued.
        unknown: usize,
    },
    /// Logs in: 200 each.
    Login {
        /// To how many accounts, one after the other.
        accounts: usize,
    },
    /// Lists access tokens: 200 with so many rows.
    ListAccess {
        /// Whose.
        account: String,
        /// The queries of the pages, without `?`; each in its turn.
        queries: Vec<String>,
        /// Rows of each page.
        rows: usize,
    },
    /// Creates service tokens: 201 each.
    Create {
        /// After this many it has nothing left to send.
        count: Option<u64>,
        /// Where every token that was answered is written.
        answered: Option<PathBuf>,
        /// With limits that are never reached.
        #[serde(default)]
        limited: bool,
    },
    /// Rotates service tokens drawn at random: 200 each.
    Rotate {
        /// The file they are in.
        tokens: PathBuf,
    },
    /// Lists one page over and over.
    List {
        /// The query, without `?`.
        query: String,
        /// What is right.
        right: RightList,
    },
}

/// In which version of HTTP requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// HTTP/1.1: one request at a time.
    Http1,
    /// HTTP/2: so many at a time.
    Http2 { streams: usize },
}

impl WorkPlan {
    fn protocol(&self) -> Protocol {
        match self {
            Self::Verify(VerifyPlan { door: Door::Check { streams }, .. }) => {
                Protocol::Http2 { streams: *streams }
            }
            _ => Protocol::Http1,
        }
    }
}

impl Protocol {
    /// How many requests a connection has under way at most.
    fn at_once(self) -> usize {
        match self {
            Self::Http1 => 1,
            Self::Http2 { streams } => streams,
        }
    }
}

/// The answer that a list must get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RightList {
    /// 200 with so many rows.
    Rows(usize),
    /// Exactly this status: the server refuses.
    Status(u16),
}

/// Which credentials are shown at the door.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct VerifyPlan {
    /// The file of the live ones; none is needed when there are none.
    pub(crate) tokens: Option<PathBuf>,
    /// Lines of the file to leave out.
    #[serde(default)]
    pub(crate) skip: usize,
    /// How many live ones.
    pub(crate) live: usize,
    /// How many that nobody issued.
    pub(crate) unknown: usize,
    /// Each is shown once; otherwise the shuffled list begins anew at its end.
    #[serde(default)]
    pub(crate) once: bool,
    /// What is right.
    pub(crate) right: RightAnswer,
    /// At which door.
    #[serde(default)]
    pub(crate) door: Door,
}

impl VerifyPlan {
    /// Only tokens that nobody issued, at `/authz`.
    pub(crate) const fn of_unknown(unknown: usize) -> Self {
        let (right, door) = (RightAnswer::Judged, Door::Authz);
        Self { tokens: None, skip: 0, live: 0, unknown, once: false, right, door }
    }
}

/// Where service tokens are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Door {
    /// `GET /authz`.
    #[default]
    Authz,
    /// `POST /api/v1/verify`.
    Verify,
    /// `POST /oauth2/introspect`.
    Introspect,
    /// gRPC `envoy.service.auth.v3.Authorization/Check`.
    Check {
        /// How many requests each connection has under way at most.
        streams: usize,
    },
}

/// Which access tokens are shown, and where.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BearPlan {
    /// The file of the live ones.
    pub(crate) tokens: PathBuf,
    /// How many live ones: the first of the file.
    pub(crate) live: usize,
    /// How many that nobody issued.
    pub(crate) unknown: usize,
    /// Where.
    pub(crate) asked: Asked,
}

/// Which service tokens are exchanged.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ExchangePlan {
    /// The file they are in.
    pub(crate) tokens: PathBuf,
    /// How many of them: the first of the file.
    pub(crate) live: usize,
    /// After this many it has nothing left to send.
    pub(crate) count: Option<u64>,
    /// Where every token that was answered is written, one a line.
    pub(crate) answered: Option<PathBuf>,
}

/// What is asked with an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Asked {
    /// The door, with a scope and the token's organization.
    Door,
    /// `GET /v1/Accounts/authorized`.
    Authorized,
}

/// The answers that a verification must get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RightAnswer {
    /// 200 for a live credential, 401 for an unknown one.
    Judged,
    /// 204 for each: the server is the bare one.
    NoContent,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_in_the_readme_is_one() {
        let readme = include_str!("../../README.md");
        let plan = readme.split("PLAN").nth(1).map(|text| text.trim_start_matches('\''));
        let plan: Result<Plan, _> = serde_json::from_str(plan.unwrap_or_default());
        assert!(plan.as_ref().is_ok_and(|plan| plan.lanes.len() == 1), "{plan:?}");
    }
}
