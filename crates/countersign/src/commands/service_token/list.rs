//! `countersign service-token list`: page after page until there is enough to show.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use countersign_domain::time::Timestamp;
use serde_json::Value;

use super::view::{Token, lines};
use super::{path_of_all, result_of};
use crate::client::read;
use crate::commands::{InAccount, now, print_json};
use crate::failure::Failure;
use crate::{duration, output};

/// Rows asked for at once: the most that the API gives.
const PAGE: usize = 1_000;

/// Which tokens.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only those of exactly this name
    #[arg(long)]
    name: Option<String>,

    /// Only those with this in name, id or client id, whatever its case
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,

    /// Only those that will expire within this time, such as 14d
    #[arg(long, value_name = "SPAN", value_parser = duration::parse)]
    expiring: Option<Duration>,

    /// Only those that were not used for this long, such as 90d, and are at least as old
    #[arg(long, value_name = "SPAN", value_parser = duration::parse)]
    idle: Option<Duration>,

    /// Most tokens to show
    #[arg(long, default_value = "1000")]
    limit: NonZeroUsize,

    #[command(flatten)]
    target: InAccount,
}

impl ListArgs {
    fn path(&self, base: &str, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (key, value) in [("name", &self.name), ("search", &self.search)] {
            if let Some(value) = value {
                query.append_pair(key, value);
            }
        }
        query.append_pair("page", &page.to_string()).append_pair("per_page", &PAGE.to_string());
        format!("{base}?{}", query.finish())
    }

    fn wants(&self, token: &Token, now: Timestamp) -> bool {
        self.expiring.is_none_or(|span| token.expires_by(now, now.after(span)))
            && self.idle.is_none_or(|span| token.idle_since(now.before(span)))
    }
}

/// Lists tokens.
pub(super) fn list(args: &ListArgs) -> Result<(), Failure> {
    let (client, account) = args.target.connect()?;
    let base = path_of_all(account);
    let (now, limit) = (now(), args.limit.get());
    let (mut tokens, mut rows) = (Vec::new(), Vec::new());
    for page in 1.. {
        let result = result_of(client.get(&args.path(&base, page))?);
        let Value::Array(found) = result else {
            return Err(Failure::Unanswered("the server's answer is no list".to_owned()));
        };
        let is_last = found.len() < PAGE;
        for row in found {
            let token: Token = read(row.clone())?;
            if args.wants(&token, now) {
                tokens.push(token);
                rows.push(row);
            }
        }
        if is_last || tokens.len() > limit {
            break;
        }
    }
    if tokens.len() > limit {
        tokens.truncate(limit);
        rows.truncate(limit);
        output::note(&format!("countersign: there are more than these {limit}; see --limit"));
    }
    match args.target.json() {
        true => print_json(&Value::Array(rows)),
        false => Ok(output::print(&lines(&tokens, now))?),
    }
}
