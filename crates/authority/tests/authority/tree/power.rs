//! What a credential opens, dimension by dimension, as `judge` says. It is asked as if the credential were enabled and
//! its secret known, because what is handed out may be enabled later.

use countersign_domain::account::AccountChain;
use countersign_domain::demand::{Circumstances, Demand, Presented, RequestLine};
use countersign_domain::fact::Fact;
use countersign_domain::id::{AccountId, OrganizationId};
use countersign_domain::limits::{Limits, Period};
use countersign_domain::scope::Scope;
use countersign_domain::secret::Secret;
use countersign_domain::time::Timestamp;
use countersign_domain::verdict::{Standing, Verdict, judge};

/// What a door or one of our operations could ask for; the last one nobody has ever stated.
const SCOPES: [&str; 13] = [
    "countersign:accounts:read",
    "countersign:accounts:write",
    "countersign:access-tokens:read",
    "countersign:access-tokens:write",
    "countersign:service-tokens:read",
    "countersign:service-tokens:write",
    "countersign:verify",
    "countersign:audit:read",
    "a",
    "a:b",
    "a:b:c",
    "d",
    "never:heard:of",
];
pub(super) const ACCOUNTS: u16 = 0b10;
pub(super) const ACCESS_TOKENS: u16 = 0b1000;
pub(super) const SERVICE_TOKENS: u16 = 0b10_0000;
pub(super) const AUDIT: u16 = 0b1000_0000;
/// Beside a permission to write: the one to read.
pub(super) const fn or_read(write: u16) -> u16 {
    write | write >> 1
}

const REQUESTS: [(&str, &[u8]); 3] = [("GET", b"/a/x"), ("POST", b"/a/x"), ("GET", b"/b")];
const ADDRESSES: [[u8; 4]; 2] = [[10, 0, 0, 1], [192, 0, 2, 1]];
/// Most organizations of a sequence; one more, which there is not, tells a list from none.
pub(super) const ORGANIZATIONS: usize = 7;

/// What a credential opens, a bit for each scope, for each request from an address, for each organization if its
/// account acts in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Power {
    pub(super) scopes: u16,
    places: u8,
    organizations: u8,
    uses: Uses,
}

/// How often it opens them: a second, at once, and in a month of 31 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Uses([u64; 3]);

impl Uses {
    const FULL: Self = Self([u64::MAX; 3]);

    fn of(limits: Limits) -> Self {
        let rate = limits.rate.map_or([u64::MAX; 2], |rate| [rate.per_second().into(), rate.burst().into()]);
        let quota = limits.quota.map_or(u64::MAX, |quota| match quota.per() {
            Period::Day => quota.requests() * 31,
            Period::Month => quota.requests(),
        });
        Self([rate[0], rate[1], quota])
    }
}

impl Default for Uses {
    fn default() -> Self {
        Self::FULL
    }
}

impl Power {
    const FULL: Self =
        Self { scopes: (1 << SCOPES.len()) - 1, places: 0b11_1111, organizations: u8::MAX, uses: Uses::FULL };

    /// As much as its account.
    pub(super) fn is_full(self) -> bool {
        self == Self::FULL
    }

    /// What is refused everywhere is within everything.
    pub(super) fn is_within(self, other: Self) -> bool {
        let has_more = self.scopes & !other.scopes != 0
            || self.places & !other.places != 0
            || self.organizations & !other.organizations != 0
            || self.uses.0.iter().zip(other.uses.0).any(|(own, other)| *own > other);
        self.places == 0 || !has_more
    }

    pub(super) fn covers(self, organization: usize) -> bool {
        self.organizations >> organization & 1 == 1
    }
}

/// The questions, made once.
pub(super) struct Gauge {
    scopes: Vec<Demand>,
    nothing: Demand,
    probe: String,
}

impl Gauge {
    pub(super) fn new() -> Self {
        let probe = "0".repeat(64);
        let demand = |scope: &str| Demand {
            scopes: vec![vec![Scope::parse(scope).unwrap()]],
            accounts: vec![AccountId::OF_NONE],
            ..Demand::default()
        };
        let nothing = Demand { accounts: vec![AccountId::OF_NONE], ..Demand::default() };
        Self { scopes: SCOPES.map(demand).into(), nothing, probe }
    }

    /// What the credential opens at doors of `account`.
    pub(super) fn measure(
        &mut self,
        fact: &Fact,
        chain: &AccountChain,
        account: AccountId,
        organizations: &[OrganizationId],
    ) -> Power {
        let presented = Presented::service("00000000000000000000000000000000.access", &self.probe).unwrap();
        let fact = Fact {
            digest: Secret::from_operator(self.probe.clone()).digest(),
            enabled: true,
            previous: None,
            epoch: None,
            expires_at: Timestamp::NEVER,
            ..fact.clone()
        };
        let mut all = [OrganizationId::OF_NONE; ORGANIZATIONS + 1];
        all[..organizations.len()].copy_from_slice(organizations);
        let standing = Standing { chain: Some(chain), is_cut: false, organizations: &all };
        let opens = |demand: &Demand, circumstances: &Circumstances<'_>| {
            let now = Timestamp::from_micros(0);
            matches!(judge(&fact, &standing, &presented, demand, circumstances, now), Verdict::Granted(_))
        };

        let mut power = Power { uses: Uses::of(fact.restrictions.limits()), ..Power::default() };
        let mut somewhere = Circumstances::default();
        self.nothing.accounts[0] = account;
        let places = REQUESTS.iter().flat_map(|request| ADDRESSES.map(|address| (request, address)));
        for (bit, ((method, target), address)) in places.enumerate() {
            let request = Some(RequestLine { method, target });
            let circumstances = Circumstances { request, address: Some(address.into()) };
            if opens(&self.nothing, &circumstances) {
                power.places |= 1 << bit;
                somewhere = circumstances;
            }
        }
        if power.places == 0 {
            return power;
        }
        for (bit, demand) in self.scopes.iter_mut().enumerate() {
            demand.accounts[0] = account;
            power.scopes |= u16::from(opens(demand, &somewhere)) << bit;
        }
        for (bit, organization) in all.into_iter().enumerate() {
            self.nothing.organizations.push(organization);
            power.organizations |= u8::from(opens(&self.nothing, &somewhere)) << bit;
            self.nothing.organizations.clear();
        }
        power
    }
}
