//! One header that holds both halves of a service token, under a name that the operator chooses (cloudflare-access.md 5.2).

use http::HeaderName;
use http::header;

use super::signals::is_decisive;

/// The name of that header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SingleHeader(HeaderName);

/// Names with a meaning of their own, to clients, proxies or us.
const TAKEN: [HeaderName; 11] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::FORWARDED,
    header::HOST,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::USER_AGENT,
];

impl SingleHeader {
    /// `None` when it is no name of a header, or one that means something else. `Authorization` is always read.
    pub fn parse(text: &str) -> Option<Self> {
        let name = HeaderName::try_from(text).ok()?;
        let lower = name.as_str();
        let is_ours = lower.contains("countersign") || lower.starts_with("cf-access-");
        // Where APIs find a credential.
        let is_of_an_api = ["x-access-token", "x-auth-key", "x-auth-email"].contains(&lower);
        let is_taken = is_decisive(lower.as_bytes()) || is_of_an_api || TAKEN.contains(&name);
        (!is_ours && !is_taken).then_some(Self(name))
    }

    /// In lower case.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_no_name_that_means_something_else() {
        for name in ["X-Service-Token", "api-key", "X-Credentials"] {
            assert_eq!(
                SingleHeader::parse(name).map(|name| name.as_str().to_owned()),
                Some(name.to_lowercase())
            );
        }
        let refused = [
            "",
            "x token",
            "tokén",
            "Cf-Access-Client-Id",
            "CF-Access-Jwt-Assertion",
            "Cf-Access-Token",
            "Countersign-Demand",
            "x-countersign-token",
            "cookie",
            // Always read.
            "Authorization",
            "x-forwarded-for",
            "X-Access-Token",
            "x-auth-key",
            "Connection",
            "content-length",
            "host",
            "proxy-authorization",
            "transfer-encoding",
            "user-agent",
        ];
        for name in refused {
            assert_eq!(SingleHeader::parse(name), None, "{name}");
        }
    }
}
