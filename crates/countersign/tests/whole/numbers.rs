//! What `/metrics` says, read as Prometheus does.

use std::net::SocketAddr;

use crate::connection::Connection;

/// All lines of `/metrics` at one moment.
pub(crate) struct Numbers(String);

impl Numbers {
    pub(crate) fn of(server: SocketAddr) -> Self {
        let answer = Connection::open(server).and_then(|mut to| to.ask("GET", "/metrics", &[], b""));
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
        Self(answer.text().to_owned())
    }

    /// Whether there is such a metric.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.lines().any(|line| line.starts_with(name))
    }

    /// The value of a series without labels.
    pub(crate) fn value(&self, name: &str) -> f64 {
        let line = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let number = line.and_then(|number| number.parse().ok());
        number.unwrap_or_else(|| panic!("no `{name}` in:\n{}", self.0))
    }

    /// How many observations of a histogram are at most as large as each of its bounds; the last is infinite.
    pub(crate) fn buckets(&self, name: &str) -> Vec<f64> {
        let begin = format!("{name}_bucket{{le=");
        let counts = self.0.lines().filter(|line| line.starts_with(&begin));
        counts
            .map(|line| line.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a count"))
            .collect()
    }
}
