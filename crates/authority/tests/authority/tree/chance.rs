//! Choices: from a seed, so that a run can be made again.

use countersign_domain::id::OrganizationId;
use countersign_domain::lifetime::{Lifetime, Ttl};
use countersign_domain::limits::Limits;
use countersign_domain::network::Networks;
use countersign_domain::organization::Organizations;
use countersign_domain::resource::{Resource, Resources};
use countersign_domain::restrictions::StatedRestrictions;
use countersign_domain::scope::{Scope, Scopes};

/// SplitMix64: small and fast.
pub(super) struct Chance(u64);

const fn mix(state: u64) -> u64 {
    let mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

impl Chance {
    /// Seeds that lie together begin far apart.
    pub(super) const fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Values to choose from, made once.
pub(super) struct Values {
    scopes: Vec<Scopes>,
    resources: Vec<Resources>,
    networks: Vec<Networks>,
    limits: Vec<Limits>,
    pub(super) lifetimes: Vec<Lifetime>,
    pub(super) ttls: Vec<Ttl>,
}

const SCOPES: [&str; 14] = [
    "DEFAULT",
    "*",
    "countersign:* a:*",
    "countersign:* a:*",
    "countersign:*",
    "countersign:accounts:write countersign:access-tokens:write a:b",
    "countersign:accounts:write countersign:service-tokens:write d",
    "countersign:access-tokens:* countersign:service-tokens:* a:*",
    "countersign:access-tokens:write *",
    "countersign:accounts:write",
    "countersign:accounts:read a:b",
    "a:b:* countersign:accounts:write countersign:access-tokens:write",
    "a",
    "",
];

impl Values {
    pub(super) fn new() -> Self {
        let scopes = |text: &&str| {
            let list = text.split_whitespace().map(|scope| Scope::parse(scope).unwrap());
            Scopes::list(list.collect()).unwrap()
        };
        let resources = |list: &[&str]| {
            Resources::list(list.iter().map(|text| Resource::parse(text).unwrap()).collect()).unwrap()
        };
        let networks = |list: &[&str]| {
            Networks::list(list.iter().map(|text| Networks::parse_one(text).unwrap()).collect()).unwrap()
        };
        Self {
            scopes: SCOPES.iter().map(scopes).collect(),
            resources: [&["/a/*"][..], &["GET /a/**", "/b"], &["/**"], &["POST /a/x"]].map(resources).into(),
            networks: [&["10.0.0.0/8"][..], &["10.0.0.1"], &["0.0.0.0/0"], &["192.0.2.0/24"]]
                .map(networks)
                .into(),
            // So wide that nobody comes up against them here: others see to that.
            limits: [
                "100000/s;burst=1000000",
                "90000/s;burst=900000",
                "90000/s;burst=1000000 1000000000000/month",
                "1000000000/day",
            ]
            .map(|text| Limits::from_joined(text).unwrap())
            .into_iter()
            .chain([Limits::NONE])
            .collect(),
            lifetimes: ["1m", "1h", "9000h", "forever"].map(|text| Lifetime::parse(text).unwrap()).into(),
            ttls: [-1, -1, 0, 600, 3_600, 7_200].map(|number| Ttl::from_number(number).unwrap()).into(),
        }
    }

    /// All of our operations and some of the doors.
    pub(super) fn narrow(&self) -> StatedRestrictions {
        self.scopes[2].clone().into()
    }

    /// Half of the time nothing is stated.
    pub(super) fn restrictions(
        &self,
        chance: &mut Chance,
        organizations: &[OrganizationId],
    ) -> StatedRestrictions {
        if chance.one_in(2) {
            return StatedRestrictions::default();
        }
        let scopes = (!chance.one_in(4)).then(|| chance.pick(&self.scopes).clone());
        let of_organizations = chance.one_in(4).then(|| {
            let mut list = organizations.to_vec();
            list.retain(|_| chance.one_in(2));
            Organizations::list(list).unwrap()
        });
        StatedRestrictions {
            scopes,
            organizations: of_organizations,
            resources: chance.one_in(8).then(|| chance.pick(&self.resources).clone()),
            allowed_ips: chance.one_in(8).then(|| chance.pick(&self.networks).clone()),
            limits: chance.one_in(8).then(|| *chance.pick(&self.limits)),
        }
    }
}
