//! Verification: microseconds, no disk, no network, no await.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use countersign_domain::caller::Caller;
use countersign_domain::demand::{Circumstances, Demand, Presented, RequestLine};
use countersign_domain::error::Denial;
use countersign_domain::fact::{Bearer, CredentialKey, Kind};
use countersign_domain::id::{AccountId, TokenRef};
use countersign_domain::scope::Scopes;
use countersign_domain::signed::SignedToken;
use countersign_domain::time::Timestamp;
use countersign_domain::usage::Door;
use countersign_domain::verdict::{Grant, Reason, Standing, Verdict, check_live, judge};

use crate::Authority;
use crate::directory::{Found, Known};
use crate::meter::{Allowance, Exceeded};

/// Where and by whom a credential is shown.
#[derive(Debug, Clone, Copy)]
pub struct Sighting<'a> {
    /// At which door.
    pub door: Door,
    /// The client's address, when it is known.
    pub address: Option<IpAddr>,
    /// What the client calls itself; cut at 128 bytes when it is kept.
    pub user_agent: &'a [u8],
    /// What it asks of whom the door guards, when that is stated.
    pub request: Option<RequestLine<'a>>,
}

/// A credential that was let in.
#[derive(Debug)]
pub struct Granted {
    /// Whose it is.
    pub known: Arc<Known>,
    /// With which of its secrets.
    pub grant: Grant,
    /// What is left now, when its uses are limited.
    pub allowance: Option<Allowance>,
    /// What was shown, when it was not a secret.
    pub signed: Option<Arc<SignedToken>>,
}

impl Granted {
    /// What it may be used for now: a signed token for no more than was left to it, nor than the service token still may.
    pub fn scopes(&self) -> Cow<'_, Scopes> {
        let scopes = &self.known.fact.restrictions.scopes;
        match &self.signed {
            Some(token) => Cow::Owned(token.scopes.and(scopes)),
            None => Cow::Borrowed(scopes),
        }
    }

    /// When the credential that was shown ends, if nothing happens before: with the token itself, with a secret that is on its way
    /// out, or as a signed token.
    pub fn expires_at(&self) -> Timestamp {
        let secret = self.grant.outgoing.map(|outgoing| outgoing.sunset_at);
        let signed = self.signed.as_ref().map(|signed| signed.expires_at);
        [secret, signed].into_iter().flatten().fold(self.known.fact.expires_at, Timestamp::min)
    }
}

/// A credential that was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// When it was used too often: what is left, and when to come again.
    pub exceeded: Option<Exceeded>,
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
        /// When it was used too often: what is left, and when to come again.
        exceeded: Option<Exceeded>,
    },
}

impl Decision {
    /// About what is no known credential.
    pub const fn of_nobody(reason: Reason) -> Self {
        Self::Denied { reason, token: None, exceeded: None }
    }
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self { reason, exceeded: None }
    }
}

impl Authority {
    /// Decides about a credential at a door and takes note of it. A refused one does not move last seen, and takes nothing of
    /// what it may be used.
    pub fn verify(&self, presented: &Presented<'_>, demand: &Demand, sighting: Sighting<'_>) -> Decision {
        let Some(found) = self.directory.look_for(&presented.key()) else {
            return Decision::of_nobody(Reason::Unknown);
        };
        self.decide_and_note(found, presented, demand, sighting)
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
        let visible = |found: &Found| found.known.chain().is_some_and(|chain| chain.is_within(within));
        match self.directory.look_for(&presented.key()).filter(visible) {
            Some(found) => self.decide_and_note(found, presented, demand, sighting),
            None => Decision::of_nobody(Reason::Unknown),
        }
    }

    /// The bearer of an access token, as a caller of Countersign's own API. Service tokens open doors only. What the
    /// caller may do is judged later, so it has to be noted then: by [`Authority::note_use`] or
    /// [`Authority::note_denial`].
    pub fn authenticate(
        &self,
        presented: &Presented<'_>,
        sighting: Sighting<'_>,
    ) -> Result<(Caller, Granted), Refused> {
        let found = self.directory.look_for(&presented.key()).ok_or(Reason::Unknown)?;
        let granted = match self.decide(found, presented, &of_an_access_token(), sighting, self.clock.now()) {
            Decision::Granted(granted) => granted,
            Decision::Denied { reason, exceeded, .. } => return Err(Refused { reason, exceeded }),
        };
        let fact = &granted.known.fact;
        let Bearer::Access(handle) = fact.bearer else { return Err(Reason::WrongKind.into()) };
        let caller = Caller {
            account: fact.account,
            handle,
            version: fact.version,
            restrictions: fact.restrictions.clone(),
            lineage: fact.lineage.clone(),
            expires_at: fact.expires_at,
        };
        Ok((caller, granted))
    }

    /// As [`Authority::authenticate`], where only a grant matters: of a refusal no note is taken, because whoever asks goes on
    /// to authenticate then. So nothing is taken of a limited token before [`Authority::spend`].
    pub fn recognise(&self, presented: &Presented<'_>, sighting: Sighting<'_>) -> Option<Granted> {
        let found = self.directory.look_for(&presented.key())?;
        match self.judge(&found, presented, &of_an_access_token(), sighting, self.clock.now()) {
            Verdict::Granted(grant) => {
                let signed = presented.signed().cloned();
                Some(Granted { known: found.known, grant, allowance: None, signed })
            }
            Verdict::Denied(_) => None,
        }
    }

    /// Takes a use of a token that was [recognised](Authority::recognise); `None`: it was used too often.
    pub fn spend(&self, granted: Granted) -> Option<Granted> {
        let allowance = self.take(&granted.known, self.clock.now()).ok()?;
        Some(Granted { allowance, ..granted })
    }

    /// Gives back of the quota what was taken by one who is denied what it asked for after all. Of the rate nothing: asking
    /// was what it limits.
    pub fn give_back(&self, granted: &Granted) {
        granted.known.give_back(granted.allowance);
    }

    /// Whether the caller's token is still what it was when it was judged, for an operation that waited before it does
    /// what no [guard](countersign_domain::change::Guard) watches.
    pub fn is_current(&self, caller: &Caller) -> bool {
        let found = self.directory.look_for(&CredentialKey::Handle(caller.handle));
        found.filter(|found| found.known.fact.version == caller.version).is_some_and(|found| {
            let chain = found.known.chain();
            let standing = Standing { chain: chain.as_ref(), is_cut: found.is_cut, organizations: &[] };
            check_live(&found.known.fact, &standing, self.clock.now()).is_ok()
        })
    }

    /// Takes note that a credential was used.
    pub fn note_use(&self, granted: &Granted, sighting: Sighting<'_>) {
        self.usage.note_use(&granted.known, granted.grant.secret_version, sighting, self.clock.now());
    }

    /// Takes note that the bearer of a good credential was denied what it asked for, which takes nothing of its quota.
    pub fn note_denial(&self, granted: &Granted, denial: Denial, sighting: Sighting<'_>) {
        self.give_back(granted);
        let token = granted.known.fact.token();
        self.usage.note_refusal(token, denial.reason(), sighting.address, self.clock.now());
    }

    fn decide_and_note(
        &self,
        found: Found,
        presented: &Presented<'_>,
        demand: &Demand,
        sighting: Sighting<'_>,
    ) -> Decision {
        let now = self.clock.now();
        let decision = self.decide(found, presented, demand, sighting, now);
        if let Decision::Granted(Granted { known, grant, .. }) = &decision {
            self.usage.note_use(known, grant.secret_version, sighting, now);
        }
        decision
    }

    /// Takes note of a refusal. A grant is for the caller of this to note. Limits come last: what is refused takes nothing.
    fn decide(
        &self,
        found: Found,
        presented: &Presented<'_>,
        demand: &Demand,
        sighting: Sighting<'_>,
        now: Timestamp,
    ) -> Decision {
        let (reason, exceeded) = match self.judge(&found, presented, demand, sighting, now) {
            Verdict::Granted(grant) => match self.take(&found.known, now) {
                Ok(allowance) => {
                    let signed = presented.signed().cloned();
                    return Decision::Granted(Granted { known: found.known, grant, allowance, signed });
                }
                Err(exceeded) => (Reason::RateLimited, Some(exceeded)),
            },
            Verdict::Denied(reason) => (reason, None),
        };
        let token = found.known.fact.token();
        self.usage.note_refusal(token, reason, sighting.address, now);
        Decision::Denied { reason, token: Some(token), exceeded }
    }

    /// Takes a use of a token whose uses are limited.
    fn take(&self, known: &Arc<Known>, now: Timestamp) -> Result<Option<Allowance>, Exceeded> {
        let allowance = known.take(now)?;
        if let Some(quota) = allowance.and_then(|allowance| allowance.quota) {
            self.quotas.note(known, quota.remaining);
        }
        Ok(allowance)
    }

    fn judge(
        &self,
        found: &Found,
        presented: &Presented<'_>,
        demand: &Demand,
        sighting: Sighting<'_>,
        now: Timestamp,
    ) -> Verdict {
        let Found { known, is_cut } = found;
        let (chain, organizations) = (known.chain(), known.acts_in(&demand.organizations));
        let standing = Standing { chain: chain.as_ref(), is_cut: *is_cut, organizations: &organizations };
        let circumstances = Circumstances { request: sighting.request, address: sighting.address };
        judge(&known.fact, &standing, presented, demand, &circumstances, now)
    }
}

/// What the API wants of a credential, before it knows what is asked for.
fn of_an_access_token() -> Demand {
    Demand { kinds: vec![Kind::Access], ..Demand::default() }
}
