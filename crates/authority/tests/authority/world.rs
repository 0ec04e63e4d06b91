//! An authority with everything it stands on under the test's control.

use std::sync::Arc;
use std::time::Duration;

use countersign_authority::{
    AccessTokenRequest, AccountRequest, Asked, Authority, Decision, Directory, Policy, RootSettings, Sighting,
};
use countersign_domain::audit::Origin;
use countersign_domain::caller::Caller;
use countersign_domain::change::FactChange;
use countersign_domain::demand::{Demand, Presented, RequestLine};
use countersign_domain::email::Email;
use countersign_domain::entropy::Entropy;
use countersign_domain::id::AccountId;
use countersign_domain::lifetime::{Lifetime, Ttl};
use countersign_domain::name::Name;
use countersign_domain::profile::Profile;
use countersign_domain::restrictions::StatedRestrictions;
use countersign_domain::scope::Scopes;
use countersign_domain::secret::Secret;
use countersign_domain::service_token::{NewServiceToken, ServiceToken};
use countersign_domain::store::{Revision, SharedStore};
use countersign_domain::usage::Door;
use countersign_domain::verdict::Reason;
use countersign_store_conformance::doubles::{ManualClock, SeededEntropy};
use countersign_store_conformance::model::ModelStore;
use countersign_store_conformance::world::load_facts;

pub(crate) const ROOT_TOKEN: &str = "root-token-of-the-tests-0123456789";

pub(crate) struct World {
    pub(crate) authority: Arc<Authority>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) store: Arc<ModelStore>,
    pub(crate) clock: Arc<ManualClock>,
    entropy: Arc<SeededEntropy>,
    pub(crate) root: AccountId,
    pub(crate) origin: Origin,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Policy::default()).await
    }

    pub(crate) async fn with(policy: Policy) -> Self {
        let directory = Arc::new(Directory::default());
        let store = Arc::new(ModelStore::new(directory.clone()));
        let clock = Arc::new(ManualClock::default());
        let entropy = Arc::new(SeededEntropy::new(1));
        let authority =
            Authority::new(store.clone(), directory.clone(), clock.clone(), entropy.clone(), policy);
        let authority = Arc::new(authority);
        authority.load().await.unwrap();
        authority.recall_uses().await.unwrap();
        let token = Some(Secret::from_operator(ROOT_TOKEN.into()));
        let root = authority.ensure_root(RootSettings { token, ..Default::default() }).await.unwrap();
        Self { authority, directory, store, clock, entropy, root: root.account, origin: Origin::default() }
    }

    /// The same store behind an authority that was just started, and has not recalled uses. Its doors do not hear of later
    /// changes.
    pub(crate) async fn restarted(self) -> Self {
        self.beside().await
    }

    /// As [`World::restarted`], while this one goes on.
    pub(crate) async fn beside(&self) -> Self {
        let directory = Arc::new(Directory::default());
        let (store, clock, entropy) = (self.store.clone(), self.clock.clone(), self.entropy.clone());
        let authority = Authority::new(
            store.clone(),
            directory.clone(),
            clock.clone(),
            entropy.clone(),
            Policy::default(),
        );
        authority.load().await.unwrap();
        let (authority, origin) = (Arc::new(authority), Origin::default());
        Self { authority, directory, store, clock, entropy, root: self.root, origin }
    }

    pub(crate) fn caller(&self, text: &str) -> Result<Caller, Reason> {
        self.authority
            .authenticate(&Presented::access(text).unwrap(), sighting(Door::Api))
            .map(|(caller, _)| caller)
            .map_err(|refused| refused.reason)
    }

    pub(crate) fn root_caller(&self) -> Caller {
        self.caller(ROOT_TOKEN).unwrap()
    }

    pub(crate) fn asked<'a>(&'a self, caller: &'a Caller) -> Asked<'a> {
        self.asked_about(caller, self.root)
    }

    pub(crate) fn asked_about<'a>(&'a self, caller: &'a Caller, account: AccountId) -> Asked<'a> {
        Asked { caller, account, origin: &self.origin }
    }

    /// Makes an account below another one, in the root's name.
    pub(crate) async fn account_below(&self, parent: AccountId) -> AccountId {
        let caller = self.root_caller();
        let mut unique = [0; 8];
        self.entropy.fill(&mut unique);
        let email = Email::parse(&format!("{}@example.com", u64::from_le_bytes(unique))).unwrap();
        let request = AccountRequest { email, password: None, profile: Profile::default() };
        self.authority.create_account(self.asked_about(&caller, parent), request).await.unwrap().id
    }

    /// Every fact that is stored, and the revision, which counts changes of whatever else there is.
    pub(crate) async fn stored(&self) -> (Vec<FactChange>, Revision) {
        let store: SharedStore = self.store.clone();
        load_facts(&store).await
    }

    /// Issues a service token in the root's name.
    pub(crate) async fn issue(&self, duration: &str) -> (ServiceToken, Secret) {
        let caller = self.root_caller();
        let (view, secret) =
            self.authority.issue_service_token(self.asked(&caller), new_token(duration)).await.unwrap();
        (view.token, secret)
    }

    /// Issues an access token in the root's name and gives its text.
    pub(crate) async fn issue_access(&self, ttl: i64, scopes: Option<Scopes>) -> Secret {
        self.issue_access_to(self.root, ttl, scopes).await
    }

    /// Issues an access token for an account in the root's name and gives its text.
    pub(crate) async fn issue_access_to(
        &self,
        account: AccountId,
        ttl: i64,
        scopes: Option<Scopes>,
    ) -> Secret {
        let caller = self.root_caller();
        let ttl = Ttl::from_number(ttl).unwrap();
        let restrictions = scopes.map(Into::into).unwrap_or_default();
        let asked = self.asked_about(&caller, account);
        let request = AccessTokenRequest { ttl, restrictions, name: None };
        self.authority.issue_access_token(asked, request).await.unwrap().1
    }

    /// What a door that demands nothing says of this pair.
    pub(crate) fn shown(&self, token: &ServiceToken, secret: &Secret) -> Result<u32, Reason> {
        let client_id = token.client_id.to_string();
        let presented = Presented::service(&client_id, secret.reveal()).unwrap();
        match self.authority.verify(&presented, &Demand::default(), sighting(Door::Authz)) {
            Decision::Granted(granted) => Ok(granted.grant.secret_version),
            Decision::Denied { reason, .. } => Err(reason),
        }
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

pub(crate) fn sighting(door: Door) -> Sighting<'static> {
    let request = Some(RequestLine { method: "GET", target: b"/a/x" });
    Sighting { door, address: Some([10, 0, 0, 1].into()), user_agent: b"tests", request }
}

pub(crate) fn new_token(duration: &str) -> NewServiceToken {
    NewServiceToken {
        name: Name::parse("ci").unwrap(),
        lifetime: Lifetime::parse(duration).unwrap(),
        enabled: true,
        restrictions: StatedRestrictions::default(),
        secret_version: 1,
    }
}
