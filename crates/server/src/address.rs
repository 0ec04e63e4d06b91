//! The client's address, from the proxies that are trusted and nobody else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The networks whose forwarded-address headers are believed.
#[derive(Debug, Clone)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// These networks.
    pub const fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// This machine alone.
    pub fn loopback() -> Self {
        let v4 = ipnet::Ipv4Net::new(Ipv4Addr::new(127, 0, 0, 0), 8).map(IpNet::V4);
        let v6 = ipnet::Ipv6Net::new(Ipv6Addr::LOCALHOST, 128).map(IpNet::V6);
        Self(v4.into_iter().chain(v6).collect())
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client's address, as told by `X-Forwarded-For` and the peer that sent the request.
    ///
    /// Counted from the right: each trusted proxy vouches for the entry before its own, so what a client wrote
    /// itself stands further left and is never reached. `None` when an untrusted peer sends the header, or when
    /// the entry that counts cannot be read: an address that may be forged is no address (design 2.4).
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        self.follow(peer, entries(headers.get_all(&X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes)))
    }

    /// As [`Self::client`], for a peer that says in the request itself where it comes from, and passes on the lines of
    /// `X-Forwarded-For` (Envoy). When the peer has added that to the header already, it stands there twice: a
    /// trusted proxy vouches for itself, and nobody goes past one that is not.
    pub(crate) fn client_behind<'h>(
        &self,
        peer: IpAddr,
        source: Option<&'h [u8]>,
        lines: impl DoubleEndedIterator<Item = &'h [u8]>,
    ) -> Option<IpAddr> {
        // Without a source the peer would take its place.
        let source = source?;
        self.follow(peer, std::iter::once(source).chain(entries(lines)))
    }

    /// Goes from the peer from entry to entry, as long as there is reason to believe.
    fn follow<'h>(&self, peer: IpAddr, entries: impl Iterator<Item = &'h [u8]>) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        let mut nearest = peer;
        for entry in entries {
            if !self.trusts(nearest) {
                // The peer itself: its word does not count. A proxy we know: what it said of its own peer is
                // the answer, and what stands further left is that stranger's claim.
                return (nearest != peer).then_some(nearest);
            }
            let entry = std::str::from_utf8(entry).ok()?;
            nearest = entry.trim().parse::<IpAddr>().ok()?.to_canonical();
        }
        Some(nearest)
    }
}

/// The entries of these lines, from the right.
fn entries<'h>(lines: impl DoubleEndedIterator<Item = &'h [u8]>) -> impl Iterator<Item = &'h [u8]> {
    lines.rev().flat_map(|line| line.rsplit(|byte| *byte == b','))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies() -> TrustedProxies {
        TrustedProxies::new(vec!["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()])
    }

    fn client(peer: &str, lines: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&X_FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        proxies().client(peer.parse().unwrap(), &headers).map(|address| address.to_string())
    }

    #[test]
    fn counted_from_the_right_through_trusted_proxies_only() {
        let is = |address: &str| Some(address.to_owned());
        assert_eq!(client("192.0.2.1", &[]), is("192.0.2.1"));
        assert_eq!(client("127.0.0.1", &["192.0.2.7"]), is("192.0.2.7"));
        assert_eq!(client("127.0.0.1", &["1.1.1.1, 192.0.2.7"]), is("192.0.2.7"), "the left one is a claim");
        assert_eq!(client("127.0.0.1", &["1.1.1.1, 192.0.2.7, 10.0.0.9"]), is("192.0.2.7"));
        assert_eq!(client("127.0.0.1", &["1.1.1.1", "192.0.2.7,10.0.0.9"]), is("192.0.2.7"));
        assert_eq!(client("127.0.0.1", &["10.0.0.1, 10.0.0.2"]), is("10.0.0.1"), "all trusted: the first");
        assert_eq!(client("::ffff:127.0.0.1", &["::ffff:192.0.2.7"]), is("192.0.2.7"));
    }

    #[test]
    fn what_cannot_be_trusted_or_read_is_unknown() {
        assert_eq!(client("192.0.2.1", &["127.0.0.1"]), None, "an untrusted peer");
        assert_eq!(client("192.0.2.1", &["192.0.2.1"]), None);
        assert_eq!(client("127.0.0.1", &[""]), None);
        assert_eq!(client("127.0.0.1", &["192.0.2.7, unknown"]), None);
        assert_eq!(client("127.0.0.1", &["192.0.2.7:4711"]), None);
    }

    #[test]
    fn a_proxy_that_says_where_a_request_comes_from() {
        let behind = |peer: &str, source: Option<&str>, line: &str| {
            let lines = Some(line.as_bytes()).filter(|line| !line.is_empty()).into_iter();
            let client = proxies().client_behind(peer.parse().unwrap(), source.map(str::as_bytes), lines);
            client.map(|address| address.to_string())
        };
        let is = |address: &str| Some(address.to_owned());
        assert_eq!(behind("127.0.0.1", Some("192.0.2.7"), ""), is("192.0.2.7"));
        assert_eq!(behind("127.0.0.1", Some("192.0.2.7"), "1.1.1.1"), is("192.0.2.7"), "a claim");
        assert_eq!(behind("127.0.0.1", Some("192.0.2.7"), "1.1.1.1, 192.0.2.7"), is("192.0.2.7"));
        assert_eq!(behind("127.0.0.1", Some("10.0.0.9"), "1.1.1.1, 192.0.2.7"), is("192.0.2.7"));
        assert_eq!(behind("127.0.0.1", Some("10.0.0.9"), "1.1.1.1, 192.0.2.7, 10.0.0.9"), is("192.0.2.7"));
        assert_eq!(behind("127.0.0.1", Some("::ffff:10.0.0.9"), "192.0.2.7"), is("192.0.2.7"));
        assert_eq!(behind("127.0.0.1", Some("127.0.0.1"), ""), is("127.0.0.1"));
        assert_eq!(behind("192.0.2.1", Some("192.0.2.7"), ""), None, "an untrusted peer");
        assert_eq!(behind("127.0.0.1", None, "192.0.2.7"), None);
        assert_eq!(behind("127.0.0.1", Some("/run/envoy.sock"), ""), None);
    }
}
