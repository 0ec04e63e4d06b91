//! Verification: microseconds, no disk, no network, no await.

use std::net::IpAddr;
use std::sync::Arc;

use countersign_domain::caller::Caller;
use countersign_domain::demand::{Demand, Presented};
use countersign_domain::fact::{Bearer, Kind};
use countersign_domain::id::{AccountId, TokenRef};
use countersign_domain::time::Timestamp;
use countersign_domain::usage::Door;
use countersign_domain::verdict::{Grant, Reason, Verdict, judge};

use crate::Authority;
use crate::directory::Known;

/// Where and by whom a credential is shown.
#[derive(Debug, Clone, Copy)]
pub struct Sighting<'a> {
    /// At which door.
    pub door: Door,
    /// The client's address, when it is known.
    pub address: Option<IpAddr>,
    /// What the client calls itself; cut at 128 bytes when it is kept.
    pub user_agent: &'a [u8],
}

/// A credential that was let in.
#[derive(Debug)]
pub struct Granted {
    /// Whose it is.
    pub known: Arc<Known>,
    /// With which of its secrets.
    pub grant: Grant,
}

/// What a door decides.
#[derive(Debug)]
pub enum Decision {
    /// Let in.
    Granted(Granted),
    /// Turned away.
    Denied {
        /// Why.
        reason: Reason,
        /// Whose credential it was, when that is known.
        token: Option<TokenRef>,
    },
}

impl Authority {
    /// Decides about a credential at a door and takes note of it. A refused one does not move last seen.
    pub fn verify(&self, presented: &Presented<'_>, demand: &Demand, sighting: Sighting<'_>) -> Decision {
        let now = self.clock.now();
        let Some(known) = self.directory.find(&presented.key()) else {
            return Decision::Denied { reason: Reason::Unknown, token: None };
        };
        self.decide(known, presented, demand, sighting, now)
    }

    /// As [`Authority::verify`], for one who asks about somebody else's credential: of one that is neither the
    /// caller's account's nor below it nothing is said and nothing is noted (design 2.4).
    pub fn verify_for(
        &self,
        within: AccountId,
        presented: &Presented<'_>,
        demand: &Demand,
        sighting: Sighting<'_>,
    ) -> Decision {
        let now = self.clock.now();
        let visible = |known: &Arc<Known>| known.chain().is_some_and(|chain| chain.is_within(within));
        match self.directory.find(&presented.key()).filter(visible) {
            Some(known) => self.decide(known, presented, demand, sighting, now),
            None => Decision::Denied { reason: Reason::Unknown, token: None },
        }
    }

    /// The bearer of an access token, as a caller of Countersign's own API. Service tokens open doors only.
    pub fn authenticate(&self, presented: &Presented<'_>, sighting: Sighting<'_>) -> Result<Caller, Reason> {
        let demand = Demand { kinds: vec![Kind::Access], ..Demand::default() };
        let granted = match self.verify(presented, &demand, sighting) {
            Decision::Granted(granted) => granted,
            Decision::Denied { reason, .. } => return Err(reason),
        };
        let fact = &granted.known.fact;
        let Bearer::Access(handle) = fact.bearer else { return Err(Reason::WrongKind) };
        Ok(Caller {
            account: fact.account,
            handle,
            version: fact.version,
            scopes: fact.scopes.clone(),
            expires_at: fact.expires_at,
        })
    }

    fn decide(
        &self,
        known: Arc<Known>,
        presented: &Presented<'_>,
        demand: &Demand,
        sighting: Sighting<'_>,
        now: Timestamp,
    ) -> Decision {
        let chain = known.chain();
        match judge(&known.fact, chain.as_ref(), presented, demand, now) {
            Verdict::Granted(grant) => {
                self.usage.note_use(&known, grant.secret_version, sighting, now);
                Decision::Granted(Granted { known, grant })
            }
            Verdict::Denied(reason) => {
                let token = known.fact.token();
                self.usage.note_refusal(token, reason, sighting.address, now);
                Decision::Denied { reason, token: Some(token) }
            }
        }
    }
}
