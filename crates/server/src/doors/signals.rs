//! What a door reads of a request's headers, found in one pass.

use http::HeaderMap;

/// A header that may stand there once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Once<'r> {
    /// It does not.
    #[default]
    Absent,
    /// It does.
    Value(&'r [u8]),
    /// More than once: whom to believe is anybody's guess, so nobody.
    Repeated,
}

impl<'r> Once<'r> {
    fn add(&mut self, value: &'r [u8]) {
        *self = match self {
            Self::Absent => Self::Value(value),
            Self::Value(_) | Self::Repeated => Self::Repeated,
        };
    }
}

/// Everything a door reads.
#[derive(Debug, Default)]
pub(super) struct Signals<'r> {
    pub(super) client_id: Once<'r>,
    pub(super) client_secret: Once<'r>,
    pub(super) authorization: Once<'r>,
    /// `Cf-Access-Token`: a signed token.
    pub(super) signed: Once<'r>,
    /// A signed token in the cookie `CF_Authorization`.
    pub(super) cookie: Once<'r>,
    pub(super) original_method: Once<'r>,
    pub(super) original_uri: Once<'r>,
    pub(super) original_url: Once<'r>,
    pub(super) forwarded_method: Once<'r>,
    pub(super) forwarded_uri: Once<'r>,
    /// Both halves in one header.
    pub(super) single: Once<'r>,
    /// The name of that, when there is one.
    single_header: Option<&'r str>,
    /// Demands in headers, in their order.
    pub(super) demands: Vec<&'r [u8]>,
    pub(super) has_forwarded_for: bool,
    /// Whether `Connection` names a header that a door reads: between us and the proxy somebody might have been
    /// told to drop it.
    pub(super) drops_a_signal: bool,
    pub(super) user_agent: &'r [u8],
}

/// Headers whose presence or absence changes what a door decides.
const DECISIVE: [&str; 12] = [
    "cf-access-client-id",
    "cf-access-client-secret",
    "authorization",
    "cf-access-token",
    "cookie",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-forwarded-method",
    "x-forwarded-uri",
    "x-forwarded-for",
    "x-countersign-demand",
];

impl<'r> Signals<'r> {
    /// None yet; `single_header` is the name of a header that holds both halves of a service token, in lower case.
    pub(super) fn of(single_header: Option<&'r str>) -> Self {
        Self { single_header, ..Self::default() }
    }

    /// Finds them; `single_header` as above.
    pub(super) fn read(headers: &'r HeaderMap, single_header: Option<&'r str>) -> Self {
        let mut signals = Self::of(single_header);
        for (name, value) in headers {
            signals.add(name.as_str(), value.as_bytes());
        }
        signals
    }

    /// One header; its name in lower case.
    pub(super) fn add(&mut self, name: &str, value: &'r [u8]) {
        match name {
            "cf-access-client-id" => self.client_id.add(value),
            "cf-access-client-secret" => self.client_secret.add(value),
            "authorization" => self.authorization.add(value),
            "cf-access-token" => self.signed.add(value),
            "cookie" => self.add_cookies(value),
            "x-original-method" => self.original_method.add(value),
            "x-original-uri" => self.original_uri.add(value),
            "x-original-url" => self.original_url.add(value),
            "x-forwarded-method" => self.forwarded_method.add(value),
            "x-forwarded-uri" => self.forwarded_uri.add(value),
            "x-countersign-demand" => self.demands.push(value),
            "x-forwarded-for" => self.has_forwarded_for = true,
            "connection" => self.drops_a_signal |= self.is_named_in(value),
            "user-agent" => self.user_agent = value,
            _ if self.single_header == Some(name) => self.single.add(value),
            _ => {}
        }
    }

    /// Whether a value of `Connection` names a header that a door reads.
    fn is_named_in(&self, connection: &[u8]) -> bool {
        let is_single = |name: &[u8]| {
            self.single_header.is_some_and(|single| name.eq_ignore_ascii_case(single.as_bytes()))
        };
        let mut names = connection.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        names.any(|name| is_decisive(name) || is_single(name))
    }

    /// RFC 6265, 4.2.1; HTTP/2 may send each in a header of its own.
    fn add_cookies(&mut self, cookies: &'r [u8]) {
        for pair in cookies.split(|byte| *byte == b';') {
            if let Some(value) = pair.trim_ascii().strip_prefix(COOKIE) {
                self.cookie.add(value);
            }
        }
    }
}

/// The cookie in which Cloudflare keeps a token (cloudflare-access.md 5.2).
const COOKIE: &[u8] = b"CF_Authorization=";

/// Whether a header's presence or absence changes what a door decides, whatever the operator says.
pub(super) fn is_decisive(name: &[u8]) -> bool {
    DECISIVE.iter().any(|decisive| name.eq_ignore_ascii_case(decisive.as_bytes()))
}
