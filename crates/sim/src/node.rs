//! A node: everything that the binary is made of but HTTP.

use std::sync::Arc;
use std::time::Duration;

use countersign_authority::{Authority, Decision, Directory, Policy, Sighting};
use countersign_domain::caller::Caller;
use countersign_domain::demand::{Demand, Presented};
use countersign_domain::lease::Lease;
use countersign_domain::usage::Door;
use countersign_store_conformance::doubles::SeededEntropy;

use crate::database::Database;
use crate::store::NodeStore;

pub(crate) struct Node {
    pub(crate) authority: Arc<Authority>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) store: Arc<NodeStore>,
}

impl Node {
    /// A node that was just started and knows nothing yet.
    pub(crate) fn new(number: usize, database: &Arc<Database>, entropy: &Arc<SeededEntropy>) -> Self {
        let directory = Arc::<Directory>::default();
        let lease = Arc::new(Lease::new(Duration::ZERO));
        let sink = Arc::clone(&directory) as _;
        let store = Arc::new(NodeStore::new(number, Arc::clone(database), sink, Arc::clone(&lease)));
        let authority = Authority::new(
            Arc::clone(&store) as _,
            Arc::clone(&directory),
            Arc::clone(&database.clock) as _,
            Arc::clone(entropy) as _,
            Policy::default(),
        );
        let authority = Arc::new(authority.leased(lease, Arc::clone(&database.uptime) as _));
        Self { authority, directory, store }
    }

    /// Whether it answers, as every door and every route asks before anything else.
    pub(crate) fn is_ready(&self) -> bool {
        self.authority.readiness().is_ok()
    }

    /// Whether a door opens.
    pub(crate) fn opens(&self, client_id: &str, secret: &str) -> bool {
        let presented = presented(client_id, secret);
        let decide = |presented| self.authority.verify(&presented, &Demand::default(), sighting());
        presented.map(decide).is_some_and(|decision| matches!(decision, Decision::Granted(_)))
    }

    pub(crate) fn caller(&self, text: &str) -> Option<Caller> {
        let granted = self.authority.authenticate(&Presented::access(text)?, sighting());
        granted.ok().map(|(caller, _)| caller)
    }
}

fn presented<'a>(client_id: &str, secret: &'a str) -> Option<Presented<'a>> {
    if client_id.is_empty() { Presented::access(secret) } else { Presented::service(client_id, secret) }
}

fn sighting() -> Sighting<'static> {
    Sighting { door: Door::Authz, address: None, user_agent: b"", request: None }
}
