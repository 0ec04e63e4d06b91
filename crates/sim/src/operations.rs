//! What clients ask of a node, and what the oracle is told of it.

use std::sync::{Arc, Mutex};

use countersign_authority::{AccessTokenRequest, AccountStep, Asked, Authority};
use countersign_domain::audit::Origin;
use countersign_domain::caller::Caller;
use countersign_domain::error::Error;
use countersign_domain::id::{AccountId, Handle, ServiceTokenId};
use countersign_domain::lifetime::{Lifetime, Ttl};
use countersign_domain::name::Name as TokenName;
use countersign_domain::restrictions::StatedRestrictions;
use countersign_domain::secret::Secret;
use countersign_domain::service_token::{NewServiceToken, ServiceTokenPatch};
use countersign_domain::store::StoreError;

use crate::chance::Chance;
use crate::oracle::{Issued, Name, Oracle, Pending, Switch};
use crate::pause::{lock, pause};

/// Times to live of access tokens; most do not expire in a schedule.
const TTLS: [i64; 4] = [-1, -1, -1, 3];

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operation {
    IssueService { account: usize },
    IssueAccess { account: usize, ttl: i64 },
    Rotate { token: usize, id: ServiceTokenId, secret: u32 },
    SetEnabled { token: usize, id: ServiceTokenId, enabled: bool },
    RevokeService { token: usize, id: ServiceTokenId },
    RevokeAccess { token: usize, handle: Handle, descendants: bool },
    SetAccountEnabled { account: usize, enabled: bool },
}

impl Operation {
    /// One that makes sense for somebody.
    pub(crate) fn choose(oracle: &mut Oracle, chance: &mut Chance) -> Self {
        let account = chance.below(oracle.accounts());
        // The first token is the root token, which stays.
        let token = 1 + chance.below(oracle.tokens().saturating_sub(1));
        let target = (token < oracle.tokens()).then(|| oracle.name(token));
        let enabled = chance.one_in(2);
        match (chance.below(16), target) {
            (0..=6, Some(Name::Access(handle))) => {
                Self::RevokeAccess { token, handle, descendants: chance.one_in(2) }
            }
            (0..=2, Some(Name::Service(id))) => Self::SetEnabled { token, id, enabled },
            (3..=4, Some(Name::Service(id))) => Self::Rotate { token, id, secret: oracle.new_secret() },
            (5..=6, Some(Name::Service(id))) => Self::RevokeService { token, id },
            (7..=9, _) if account > 0 => Self::SetAccountEnabled { account, enabled },
            (10..=11, _) => Self::IssueService { account },
            _ => Self::IssueAccess { account, ttl: chance.pick(&TTLS).unwrap_or(-1) },
        }
    }

    /// Whose account it is about.
    fn account(self, oracle: &Oracle) -> usize {
        match self {
            Self::IssueService { account }
            | Self::IssueAccess { account, .. }
            | Self::SetAccountEnabled { account, .. } => account,
            Self::Rotate { token, .. }
            | Self::SetEnabled { token, .. }
            | Self::RevokeService { token, .. }
            | Self::RevokeAccess { token, .. } => oracle.account_of(token),
        }
    }

    /// What it may write, from now on.
    fn begin(self, oracle: &mut Oracle) -> Vec<Pending> {
        match self {
            Self::IssueService { .. } | Self::IssueAccess { .. } => Vec::new(),
            Self::Rotate { token, secret, .. } => vec![oracle.begin(Switch::Secret(token), secret)],
            Self::SetEnabled { token, enabled, .. } => {
                vec![oracle.begin(Switch::TokenEnabled(token), enabled.into())]
            }
            Self::RevokeService { token, .. } | Self::RevokeAccess { token, descendants: false, .. } => {
                vec![oracle.begin(Switch::TokenThere(token), 0)]
            }
            Self::RevokeAccess { token, .. } => [Switch::TokenThere(token), Switch::OffspringThere(token)]
                .map(|switch| oracle.begin(switch, 0))
                .into(),
            Self::SetAccountEnabled { account, enabled } => {
                vec![oracle.begin(Switch::AccountEnabled(account), enabled.into())]
            }
        }
    }
}

/// Who asks, where.
pub(crate) struct Client {
    pub(crate) node: usize,
    pub(crate) authority: Arc<Authority>,
    pub(crate) caller: Caller,
    /// The caller's token.
    pub(crate) token: usize,
}

/// What an operation gave beside being done.
enum Given {
    Nothing,
    Token(Box<Issued>),
    Secret { token: usize, number: u32, text: Secret },
}

impl Client {
    /// Asks for it, and tells the oracle what came of it.
    pub(crate) async fn ask(self, operation: Operation, oracle: Arc<Mutex<Oracle>>) {
        let (pending, account, begun) = {
            let mut oracle = lock(&oracle);
            let account = operation.account(&oracle);
            (operation.begin(&mut oracle), (account, oracle.account(account)), oracle.step)
        };
        // A body is read.
        pause().await;
        let result = self.call(operation, account).await;
        let mut oracle = lock(&oracle);
        match result {
            Ok(given) => {
                oracle.done(&pending, self.node);
                match given {
                    Given::Nothing => {}
                    Given::Token(issued) => oracle.issued(*issued, begun, Some(self.node)),
                    Given::Secret { token, number, text } => oracle.rotated(token, number, text),
                }
            }
            // It may have happened, and may still do.
            Err(Error::Store(StoreError::InDoubt(_))) => {}
            Err(_) => oracle.failed(&pending),
        }
    }

    async fn call(&self, operation: Operation, account: (usize, AccountId)) -> Result<Given, Error> {
        let (number, account) = account;
        let origin = Origin::default();
        let asked = Asked { caller: &self.caller, account, origin: &origin };
        let minter = Some(self.token);
        match operation {
            Operation::IssueService { .. } => {
                let (view, text) = self.authority.issue_service_token(asked, new_service_token()).await?;
                Ok(Given::Token(Box::new(Issued {
                    name: Name::Service(view.token.id),
                    client_id: view.token.client_id.to_string(),
                    account: number,
                    minter,
                    expires_at: view.token.expires_at,
                    text,
                })))
            }
            Operation::IssueAccess { ttl, .. } => {
                let ttl = Ttl::from_number(ttl).unwrap_or_default();
                let request = AccessTokenRequest { ttl, ..AccessTokenRequest::default() };
                let (token, text) = self.authority.issue_access_token(asked, request).await?;
                Ok(Given::Token(Box::new(Issued {
                    name: Name::Access(token.handle),
                    client_id: String::new(),
                    account: number,
                    minter,
                    expires_at: token.expires_at,
                    text,
                })))
            }
            Operation::Rotate { token, id, secret } => {
                let (_, text) = self.authority.rotate_service_token(asked, id, None, false).await?;
                Ok(Given::Secret { token, number: secret, text })
            }
            Operation::SetEnabled { id, enabled, .. } => {
                let patch = ServiceTokenPatch { enabled: Some(enabled), ..ServiceTokenPatch::default() };
                self.authority.update_service_token(asked, id, patch, false).await?;
                Ok(Given::Nothing)
            }
            Operation::RevokeService { id, .. } => {
                self.authority.revoke_service_token(asked, id).await?;
                Ok(Given::Nothing)
            }
            Operation::RevokeAccess { handle, descendants, .. } => {
                self.authority.revoke_access_token(asked, handle, descendants).await?;
                Ok(Given::Nothing)
            }
            Operation::SetAccountEnabled { enabled, .. } => {
                let step = if enabled { AccountStep::Enable } else { AccountStep::Disable };
                self.authority.step_account(asked, step).await?;
                Ok(Given::Nothing)
            }
        }
    }
}

#[expect(clippy::expect_used, reason = "constants that are right or wrong for good")]
fn new_service_token() -> NewServiceToken {
    NewServiceToken {
        name: TokenName::parse("ci").expect("a name"),
        lifetime: Lifetime::parse("8760h").expect("a lifetime"),
        enabled: true,
        restrictions: StatedRestrictions::default(),
        secret_version: 1,
    }
}
