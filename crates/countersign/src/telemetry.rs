//! The log: one line a happening, on standard error.

use std::io::{self, IsTerminal as _};

use anyhow::anyhow;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry};

use crate::config::{LogFormat, LogSettings};

/// Starts the log of this process. Called once.
pub(crate) fn start(settings: &LogSettings) -> anyhow::Result<()> {
    let unset = if io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json };
    let lines = fmt::layer().with_writer(io::stderr);
    let level: Targets = settings.level.clone();
    let started = match settings.format.unwrap_or(unset) {
        LogFormat::Text => registry().with(level).with(lines).try_init(),
        LogFormat::Json => registry().with(level).with(lines.json().flatten_event(true)).try_init(),
    };
    started.map_err(|_| anyhow!("the log was started twice"))
}
