//! A digest of what the doors know: two stores with the same one answer alike.
//!
//! Each fact is hashed by itself, over bytes that are written out here and do not follow from how the program keeps it;
//! the hashes are added up. So neither the order matters nor the version of the program. It is meant to find mistakes,
//! not forgers.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::account::{AccountFact, AccountState};
use crate::change::FactChange;
use crate::fact::{Bearer, CredentialKey, Fact, PreviousFact};
use crate::organization::{MembershipFact, OrganizationFact};

/// Of what the doors know: 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactDigest([u8; 32]);

impl fmt::Display for FactDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a digest (64 hex digits)")]
pub struct InvalidDigest;

impl FromStr for FactDigest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(InvalidDigest);
        let text: &[u8; 64] = text.as_bytes().try_into().map_err(|_| InvalidDigest)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Ok(Self(bytes))
    }
}

/// Takes facts in, in any order.
#[derive(Debug, Default)]
pub struct FactHasher {
    /// Of the hashes, modulo 2^256, the least significant part first.
    sum: [u64; 4],
    facts: u64,
}

impl FactHasher {
    /// Takes in a fact.
    pub fn add(&mut self, fact: &FactChange) {
        let mut bytes = Bytes(Sha256::new());
        bytes.fact(fact);
        let hash: [u8; 32] = bytes.0.finalize().into();
        let mut carry = false;
        for (part, chunk) in self.sum.iter_mut().zip(hash.chunks_exact(8)) {
            let added = chunk.iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
            let (sum, over) = part.overflowing_add(added);
            let (sum, again) = sum.overflowing_add(u64::from(carry));
            (*part, carry) = (sum, over || again);
        }
        self.facts += 1;
    }

    /// The digest of what was taken in.
    pub fn finish(&self) -> FactDigest {
        let mut hasher = Sha256::new().chain_update(self.facts.to_be_bytes());
        for part in self.sum {
            hasher.update(part.to_be_bytes());
        }
        FactDigest(hasher.finalize().into())
    }
}

/// Writes each value so that no two facts have the same bytes: numbers at full length, texts after their lengths, what
/// is not there as a zero and what is after a one.
struct Bytes(Sha256);

impl Bytes {
    fn fact(&mut self, change: &FactChange) {
        match change {
            FactChange::Account(fact) => self.account(fact),
            FactChange::Organization(fact) => self.organization(fact),
            FactChange::Membership(fact) => self.membership(fact),
            FactChange::Credential(fact) => self.credential(fact),
            FactChange::Cut(handle) => self.tag(b'x').raw(handle.as_str().as_bytes()),
            // What is gone is not there to be digested; a store that says so all the same is not like one that does not.
            FactChange::AccountGone(id) => self.tag(b'A').raw(id.as_bytes()),
            FactChange::OrganizationGone(id) => self.tag(b'O').raw(id.as_bytes()),
            FactChange::MembershipGone { id, version } => {
                self.tag(b'M').raw(id.as_bytes());
                self.number(version.number());
            }
            FactChange::CredentialGone { key, version } => {
                match key {
                    CredentialKey::Client(id) => self.tag(b'S').raw(id.as_bytes()),
                    CredentialKey::Handle(handle) => self.tag(b'T').raw(handle.as_str().as_bytes()),
                }
                self.number(version.number());
            }
            FactChange::CutHealed(handle) => self.tag(b'X').raw(handle.as_str().as_bytes()),
        }
    }

    fn account(&mut self, fact: &AccountFact) {
        self.tag(b'a').raw(fact.id.as_bytes());
        self.optional(fact.parent.as_ref().map(|parent| &parent.as_bytes()[..]));
        self.number(match fact.state {
            AccountState::Enabled => 0,
            AccountState::Disabled => 1,
            AccountState::Deleted => 2,
        });
        self.number(fact.epoch.number().into());
        self.number(fact.version.number());
    }

    fn organization(&mut self, fact: &OrganizationFact) {
        self.tag(b'o').raw(fact.id.as_bytes());
        self.raw(fact.owner.as_bytes());
        self.number(fact.active.into());
        self.number(fact.version.number());
    }

    fn membership(&mut self, fact: &MembershipFact) {
        self.tag(b'm').raw(fact.id.as_bytes());
        self.raw(fact.organization.as_bytes());
        self.raw(fact.account.as_bytes());
        self.number(fact.effective.into());
        self.number(fact.version.number());
    }

    fn credential(&mut self, fact: &Fact) {
        match &fact.bearer {
            Bearer::Service { id, client_id } => {
                self.tag(b's').raw(id.as_bytes());
                self.raw(client_id.as_bytes());
            }
            Bearer::Access(handle) => self.tag(b't').raw(handle.as_str().as_bytes()),
        }
        self.raw(fact.account.as_bytes());
        self.raw(fact.digest.as_bytes());
        self.number(fact.secret_version.into());
        self.number(fact.enabled.into());
        self.time(fact.expires_at.as_micros());
        self.number(fact.version.number());
        self.previous(fact.previous.as_deref());
        self.optional(Some(fact.name.as_bytes()));
        self.number(fact.lineage.handles().len() as u64);
        for handle in fact.lineage.handles() {
            self.raw(handle.as_str().as_bytes());
        }
        self.number(fact.epoch.map_or(0, |epoch| 1 + u64::from(epoch.number())));
        let restrictions = &fact.restrictions;
        // One after the other by name: what comes to be restricted in future must not change what these come to.
        self.list(restrictions.scopes.joined());
        self.list(restrictions.organizations().joined());
        self.list(restrictions.resources().joined());
        self.list(restrictions.allowed_ips().joined());
        // Nothing at all where there are none: what is without them was digested before there were any.
        if let Some(limits) = restrictions.limits().joined() {
            self.tag(b'l').optional(Some(limits.as_bytes()));
        }
    }

    fn list(&mut self, list: Option<String>) {
        self.optional(list.as_deref().map(str::as_bytes));
    }

    fn previous(&mut self, previous: Option<&PreviousFact>) {
        self.number(previous.is_some().into());
        if let Some(previous) = previous {
            self.raw(previous.digest.as_bytes());
            self.number(previous.secret_version.into());
            self.time(previous.replaced_at.as_micros());
            self.time(previous.expires_at.as_micros());
        }
    }

    fn tag(&mut self, tag: u8) -> &mut Self {
        self.0.update([tag]);
        self
    }

    /// Of a length that is always the same.
    fn raw(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }

    fn time(&mut self, micros: i64) {
        self.0.update(micros.to_be_bytes());
    }

    fn optional(&mut self, bytes: Option<&[u8]>) {
        self.number(bytes.is_some().into());
        if let Some(bytes) = bytes {
            self.number(bytes.len() as u64);
            self.raw(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Epoch;
    use crate::id::{AccountId, Handle, MembershipId, OrganizationId, ServiceTokenId};
    use crate::limits::Limits;
    use crate::lineage::Lineage;
    use crate::network::Networks;
    use crate::organization::Organizations;
    use crate::resource::Resources;
    use crate::restrictions::Restrictions;
    use crate::scope::Scopes;
    use crate::secret::Digest;
    use crate::store::Version;
    use crate::time::Timestamp;

    fn account(number: u8, state: AccountState) -> FactChange {
        let id = AccountId::from_bytes([number; 16]);
        FactChange::Account(AccountFact {
            id,
            parent: None,
            state,
            epoch: Epoch::FIRST,
            version: Version::FIRST,
        })
    }

    fn digest(facts: &[FactChange]) -> FactDigest {
        let mut hasher = FactHasher::default();
        facts.iter().for_each(|fact| hasher.add(fact));
        hasher.finish()
    }

    #[test]
    fn the_order_does_not_matter_and_all_else_does() {
        let (one, other) = (account(1, AccountState::Enabled), account(2, AccountState::Enabled));
        let both = digest(&[one.clone(), other.clone()]);
        assert_eq!(digest(&[other.clone(), one.clone()]), both);
        assert_ne!(digest(std::slice::from_ref(&one)), both);
        assert_ne!(digest(&[one.clone(), one.clone()]), both);
        assert_ne!(digest(&[one.clone(), one.clone()]), digest(&[]));
        assert_ne!(digest(&[one, account(2, AccountState::Disabled)]), both);
    }

    /// One of each kind, with everything that it can have.
    fn one_of_each() -> Vec<FactChange> {
        let (number, version) = ([7; 16], Version::from_number(3));
        let (first, at) = (Digest::from_bytes([1; 32]), Timestamp::from_micros);
        let handle = |letter: &str| letter.repeat(Handle::LEN).parse::<Handle>().unwrap();
        let service_token = Fact {
            bearer: Bearer::Service {
                id: ServiceTokenId::from_bytes(number),
                client_id: "88bf3b6d86161464f6509f7219099e57.access".parse().unwrap(),
            },
            account: AccountId::from_bytes([2; 16]),
            digest: first,
            secret_version: 2,
            enabled: true,
            expires_at: at(1_000),
            version,
            previous: Some(Box::new(PreviousFact {
                digest: Digest::from_bytes([2; 32]),
                secret_version: 1,
                replaced_at: at(100),
                expires_at: at(500),
            })),
            name: "ci".into(),
            lineage: Lineage::of(&[handle("a"), handle("b")]).unwrap(),
            epoch: None,
            restrictions: Restrictions::new(
                Scopes::from_joined("read write").unwrap(),
                Organizations::from_joined(&OrganizationId::from_bytes(number).to_string()).unwrap(),
                Resources::from_joined("GET /v1/*").unwrap(),
                Networks::from_joined("10.0.0.0/8").unwrap(),
                Limits::NONE,
            ),
        };
        let access_token = Fact {
            bearer: Bearer::Access(handle("c")),
            previous: None,
            epoch: Some(Epoch::FIRST),
            restrictions: Restrictions::NONE,
            ..service_token.clone()
        };
        let id = OrganizationId::from_bytes(number);
        let organization =
            OrganizationFact { id, owner: AccountId::from_bytes([2; 16]), active: true, version };
        let membership = MembershipFact {
            id: MembershipId::from_bytes(number),
            organization: id,
            account: AccountId::from_bytes([3; 16]),
            effective: true,
            version,
        };
        vec![
            account(1, AccountState::Enabled),
            FactChange::Organization(organization),
            FactChange::Membership(membership),
            FactChange::Credential(service_token),
            FactChange::Credential(access_token),
            FactChange::Cut(handle("d")),
        ]
    }

    /// Backups hold digests: what a fact's bytes are may never change.
    #[test]
    fn a_digest_is_the_same_for_ever() {
        let text = digest(&one_of_each()).to_string();
        assert_eq!(text.parse(), Ok(digest(&one_of_each())));
        assert_eq!(text, "1b9600d969a9ab4c2b0759a18765268b4907e8a249cb90b0ab6a4ce271e9866d");
        assert_eq!("x".repeat(64).parse::<FactDigest>(), Err(InvalidDigest));
    }
}
