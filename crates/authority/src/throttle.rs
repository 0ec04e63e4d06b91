//! How often somebody may try to log in: per account and per address, whether the attempts succeed or not.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use countersign_domain::error::Error;
use countersign_domain::time;
use governor::clock::{Clock, Reference as _};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

/// Most accounts, and most addresses, that are remembered. Past it nobody new may try, until some are forgotten.
const MOST_KEYS: usize = 100_000;

/// Two limits, both of which must have room.
pub(crate) struct Throttle {
    of_account: Limit<Box<str>>,
    of_address: Limit<Option<IpAddr>>,
}

struct Limit<K: Hash + Eq + Clone>(RateLimiter<K, HashMapStateStore<K>, PortClock, NoOpMiddleware<Duration>>);

/// The port's time as the limiter wants it.
#[derive(Clone)]
struct PortClock(Arc<dyn time::Clock>);

impl Clock for PortClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.now().as_micros()).unwrap_or(0))
    }
}

impl Throttle {
    /// At most so many attempts in a minute, which may come at once.
    pub(crate) fn new(
        per_account: NonZeroU32,
        per_address: NonZeroU32,
        clock: &Arc<dyn time::Clock>,
    ) -> Self {
        Self { of_account: Limit::new(per_account, clock), of_address: Limit::new(per_address, clock) }
    }

    /// Refuses one attempt too many. An unknown address counts as one.
    pub(crate) fn check(&self, account: &str, address: Option<IpAddr>) -> Result<(), Error> {
        self.check_address(address)?;
        self.of_account.check(&account.into())
    }

    /// As [`Throttle::check`], where there is no account.
    pub(crate) fn check_address(&self, address: Option<IpAddr>) -> Result<(), Error> {
        self.of_address.check(&address.map(network))
    }
}

/// Whoever has one IPv6 address has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

impl<K: Hash + Eq + Clone> Limit<K> {
    fn new(per_minute: NonZeroU32, clock: &Arc<dyn time::Clock>) -> Self {
        Self(RateLimiter::hashmap_with_clock(Quota::per_minute(per_minute), PortClock(Arc::clone(clock))))
    }

    fn check(&self, key: &K) -> Result<(), Error> {
        if self.0.len() >= MOST_KEYS {
            self.0.retain_recent();
        }
        if self.0.len() >= MOST_KEYS {
            return Err(Error::TooManyLogins { retry_after: Duration::from_secs(60) });
        }
        self.0.check_key(key).map_err(|until| {
            let now = self.0.clock().now();
            let retry_after = until.earliest_possible().duration_since(now).into();
            Error::TooManyLogins { retry_after }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_store_conformance::doubles::ManualClock;

    #[test]
    fn each_has_its_own_limit_and_time_restores_it() {
        let clock = Arc::new(ManualClock::default());
        let port: Arc<dyn time::Clock> = clock.clone();
        let (three, five) = (NonZeroU32::new(3).unwrap(), NonZeroU32::new(5).unwrap());
        let throttle = Throttle::new(three, five, &port);
        let from = |last: u8| Some([10, 0, 0, last].into());
        let wait = |outcome| match outcome {
            Ok(()) => Duration::ZERO,
            Err(Error::TooManyLogins { retry_after }) => retry_after,
            Err(other) => panic!("{other:?}"),
        };
        for attempt in 0..3 {
            assert_eq!(wait(throttle.check("a@b", from(attempt))), Duration::ZERO);
        }
        assert_eq!(wait(throttle.check("a@b", from(9))), Duration::from_secs(20), "of the account");
        assert_eq!(wait(throttle.check("c@d", from(9))), Duration::ZERO);
        for _ in 0..3 {
            let _ = throttle.check("e@f", from(9));
        }
        assert_eq!(wait(throttle.check("g@h", from(9))), Duration::from_secs(12), "of the address");
        clock.advance(Duration::from_secs(20));
        assert_eq!(wait(throttle.check("a@b", from(20))), Duration::ZERO);
        assert!(wait(throttle.check("a@b", from(20))) > Duration::ZERO);
    }

    #[test]
    fn neighbours_of_ipv6_share_a_limit() {
        let parse = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(network(parse("2001:db8::1")), network(parse("2001:db8::ffff:1")));
        assert_ne!(network(parse("2001:db8::1")), network(parse("2001:db8:0:1::1")));
        assert_eq!(network(parse("::ffff:10.0.0.1")), parse("10.0.0.1"));
    }
}
