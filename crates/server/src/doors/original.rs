//! The original request, as the proxy states it.

use countersign_domain::demand::RequestLine;
use countersign_domain::verdict::Reason;

use super::signals::{Once, Signals};

/// What a proxy's own request states beside the headers: at some doors it is the original request itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Own<'r> {
    pub(super) method: Once<'r>,
    /// Path and query.
    pub(super) target: Once<'r>,
}

/// The original request, when method and target are stated. All statements about it must agree, and none may have been
/// lost on the way.
pub(super) fn read<'r>(own: Own<'r>, signals: &Signals<'r>) -> Result<Option<RequestLine<'r>>, Reason> {
    if signals.drops_a_signal {
        return Err(Reason::AmbiguousRequest);
    }
    let method = agreed([signals.original_method, signals.forwarded_method, own.method])?;
    let from_url = match signals.original_url {
        Once::Value(url) => Once::Value(path_of_url(url).ok_or(Reason::AmbiguousRequest)?),
        other => other,
    };
    let target = agreed([signals.original_uri, from_url, signals.forwarded_uri, own.target])?;
    let (Some(method), Some(target)) = (method, target) else { return Ok(None) };
    // A method that is no text is none that anybody could mean.
    Ok(std::str::from_utf8(method).ok().map(|method| RequestLine { method, target }))
}

/// The one value that is stated, when all that state one state the same.
fn agreed<'r, const N: usize>(statements: [Once<'r>; N]) -> Result<Option<&'r [u8]>, Reason> {
    let mut stated = None;
    for statement in statements {
        match (statement, stated) {
            (Once::Absent, _) => {}
            (Once::Repeated, _) => return Err(Reason::AmbiguousRequest),
            (Once::Value(value), None) => stated = Some(value),
            (Once::Value(value), Some(before)) if value == before => {}
            (Once::Value(_), Some(_)) => return Err(Reason::AmbiguousRequest),
        }
    }
    Ok(stated)
}

/// Path and query of an absolute URL.
fn path_of_url(url: &[u8]) -> Option<&[u8]> {
    let scheme_end = url.windows(3).position(|window| window == b"://")?;
    let after_scheme = &url[scheme_end + 3..];
    let path_start =
        after_scheme.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(after_scheme.len());
    match &after_scheme[path_start..] {
        [] => Some(b"/"),
        path => Some(path),
    }
}
