//! Networks: from which addresses a credential may be used.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::allowlist::{Allowable, Allowlist};

/// Why a text is no network, or a list no list of networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNetwork {
    /// No address and no CIDR.
    #[error("must be an IP address or a network such as 192.0.2.0/24")]
    Syntax,
    /// Bits beyond the prefix: what was meant is anybody's guess.
    #[error("must have no bits set beyond its prefix")]
    HostBits,
    /// More than 64 in a list.
    #[error("must name at most 64 networks")]
    TooMany,
}

/// From which addresses a credential may be used: from all, be they unknown, or from those of a list of networks.
pub type Networks = Allowlist<IpNet>;

impl Allowable for IpNet {
    const MOST: usize = 64;
    const SEPARATOR: &str = " ";
    type Invalid = InvalidNetwork;
    const TOO_MANY: InvalidNetwork = InvalidNetwork::TooMany;

    /// Reads a network in CIDR notation, or one address. A v4 network written as v4-mapped v6 is the v4 one, as such
    /// addresses are (design 2.4).
    fn parse(text: &str) -> Result<Self, InvalidNetwork> {
        let network = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text.parse::<IpNet>().map_err(|_| InvalidNetwork::Syntax)?,
        };
        if network.trunc() != network {
            return Err(InvalidNetwork::HostBits);
        }
        Ok(canonical(network))
    }

    fn within(&self, other: &Self) -> bool {
        other.contains(self)
    }
}

impl Networks {
    /// Whether the address is one of them.
    pub fn cover(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.is_any(|network| network.contains(&address))
    }
}

/// `::ffff:a.b.c.d/96+n` is `a.b.c.d/n`.
fn canonical(network: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    match (network.addr().to_canonical(), network) {
        (IpAddr::V4(address), IpNet::V6(v6)) if v6.prefix_len() >= MAPPED => {
            ipnet::Ipv4Net::new(address, v6.prefix_len() - MAPPED).map_or(network, IpNet::V4)
        }
        _ => network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn networks(texts: &[&str]) -> Networks {
        let parse = |text: &&str| Networks::parse_one(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        Networks::list(texts.iter().map(parse).collect()).unwrap_or_default()
    }

    fn covers(texts: &[&str], address: &str) -> bool {
        networks(texts).cover(address.parse().unwrap_or_else(|e| panic!("{address}: {e}")))
    }

    #[test]
    fn grammar() {
        for good in
            ["192.0.2.1", "192.0.2.0/24", "0.0.0.0/0", "::/0", "2001:db8::/32", "::1", "::ffff:192.0.2.0/120"]
        {
            assert!(Networks::parse_one(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "192.0.2",
            "192.0.2.0/33",
            "192.0.2.0/-1",
            "192.0.2.0/255.255.255.0",
            "a",
            "192.0.2.1 ",
            "::/129",
        ] {
            assert_eq!(Networks::parse_one(bad), Err(InvalidNetwork::Syntax), "{bad}");
        }
        assert_eq!(Networks::parse_one("192.0.2.1/24"), Err(InvalidNetwork::HostBits));
        let many = vec![IpNet::from(IpAddr::from([192, 0, 2, 1])); 65];
        assert_eq!(Networks::list(many), Err(InvalidNetwork::TooMany));
    }

    #[test]
    fn v4_in_v6_is_v4() {
        assert!(covers(&["192.0.2.0/24"], "::ffff:192.0.2.9"));
        assert!(covers(&["::ffff:192.0.2.0/120"], "192.0.2.9"));
        assert!(!covers(&["::/0"], "192.0.2.9"), "the two families are apart");
        assert!(!covers(&["0.0.0.0/0"], "2001:db8::1"));
        assert!(!covers(&[], "192.0.2.9"));
        assert!(Networks::ALL.cover(IpAddr::from([192, 0, 2, 1])));
    }

    #[test]
    fn within() {
        assert!(networks(&["192.0.2.0/25"]).within(&networks(&["192.0.2.0/24"])));
        assert!(
            !networks(&["192.0.2.0/24"]).within(&networks(&["192.0.2.0/25", "192.0.2.128/25"])),
            "one must hold it"
        );
        assert!(networks(&[]).within(&networks(&[])));
        assert!(networks(&["::/0"]).within(&Networks::ALL));
        assert!(!Networks::ALL.within(&networks(&["0.0.0.0/0", "::/0"])));
    }

    fn any_networks() -> impl Strategy<Value = Networks> {
        let network = (0..4_u8, 28..=32_u8).prop_filter_map("no network", |(low, prefix)| {
            ipnet::Ipv4Net::new([192, 0, 2, low].into(), prefix).ok().map(|net| IpNet::V4(net.trunc()))
        });
        let list = proptest::collection::vec(network, 0..4)
            .prop_map(|list| Networks::list(list).unwrap_or_default());
        proptest::option::of(list).prop_map(Option::unwrap_or_default)
    }

    proptest! {
        /// What is within a list covers no address that the list does not.
        #[test]
        fn within_means_no_more(mine in any_networks(), theirs in any_networks(), low in 0..20_u8) {
            let address = IpAddr::from([192, 0, 2, low]);
            if mine.within(&theirs) && mine.cover(address) {
                prop_assert!(theirs.cover(address));
            }
        }
    }
}
