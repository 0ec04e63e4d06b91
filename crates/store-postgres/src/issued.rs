//! Tokens that a transaction issues. They wait until something may look at them, or the transaction is about to end, and
//! are then sent together: 64 tokens take one round trip and not 64.

use countersign_domain::access_token::{AccessToken, Sealed};
use countersign_domain::change::Mutation;
use countersign_domain::id::{Handle, ServiceTokenId};
use countersign_domain::service_token::ServiceToken;
use futures_util::future::try_join;
use tokio_postgres::Error;

use crate::accounts::uuid;
use crate::apply::signed;
use crate::many::{Cell, Insert, cell};
use crate::session::Tx;
use crate::sql;

/// Tokens that were issued and are not written yet.
#[derive(Default)]
pub(crate) struct Issued<'b> {
    service_tokens: Vec<&'b ServiceToken>,
    access_tokens: Vec<&'b AccessToken>,
    has_duplicates: bool,
}

impl<'b> Issued<'b> {
    pub(crate) fn add_service_token(&mut self, token: &'b ServiceToken) {
        self.service_tokens.push(token);
    }

    pub(crate) fn add_access_token(&mut self, token: &'b AccessToken) {
        self.access_tokens.push(token);
    }

    /// Whether what a mutation looks at may be one of them.
    pub(crate) fn is_looked_at_by(&self, mutation: &Mutation) -> bool {
        match mutation {
            Mutation::ReplaceServiceToken { token, .. } => self.has_service_token(token.id),
            Mutation::RevokeServiceToken { id, .. } => self.has_service_token(*id),
            Mutation::ReplaceAccount { keep, .. } => {
                keep.as_ref().is_some_and(|token| self.has_access_token(token.handle))
            }
            Mutation::RevokeAccessToken { handle, .. } => self.has_access_token(*handle),
            Mutation::SetRootToken { .. } => true,
            // They look at tokens only where they say so: see `access_tokens::issue`.
            Mutation::IssueServiceToken { .. } | Mutation::IssueAccessToken { .. } => false,
            Mutation::CreateAccount { .. }
            | Mutation::CreateOrganization { .. }
            | Mutation::ReplaceOrganization { .. }
            | Mutation::CreateMembership { .. }
            | Mutation::ReplaceMembership { .. }
            | Mutation::DeleteMembership { .. }
            | Mutation::AddKeyGeneration(_)
            | Mutation::ReplaceKeyInterval { .. }
            | Mutation::RemoveKeyGeneration { .. } => false,
        }
    }

    fn has_service_token(&self, id: ServiceTokenId) -> bool {
        self.service_tokens.iter().any(|token| token.id == id)
    }

    fn has_access_token(&self, handle: Handle) -> bool {
        self.access_tokens.iter().any(|token| token.handle == handle)
    }

    /// Writes them.
    pub(crate) async fn write(&mut self, tx: &Tx<'_>) -> Result<(), Error> {
        let service_tokens: Vec<_> = self.service_tokens.drain(..).map(service_token).collect();
        let access_tokens: Vec<_> = self.access_tokens.drain(..).map(access_token).collect();
        let all = service_tokens.len() + access_tokens.len();
        let (service_tokens, access_tokens) =
            try_join(SERVICE_TOKENS.run(tx, &service_tokens), ACCESS_TOKENS.run(tx, &access_tokens)).await?;
        self.has_duplicates |= service_tokens + access_tokens != all as u64;
        Ok(())
    }

    /// Whether one of those that were written was there already. Whose it was is not known.
    pub(crate) const fn has_duplicates(&self) -> bool {
        self.has_duplicates
    }
}

static SERVICE_TOKENS: Insert = Insert::new(sql::INSERT_SERVICE_TOKEN);
static ACCESS_TOKENS: Insert = Insert::new(sql::INSERT_ACCESS_TOKEN);

fn service_token(token: &ServiceToken) -> Vec<Cell<'_>> {
    let previous = token.previous.as_ref();
    vec![
        cell(uuid(token.id.as_bytes())),
        cell(uuid(token.account.as_bytes())),
        cell(uuid(token.client_id.as_bytes())),
        cell(token.name.as_str()),
        cell(token.lifetime.as_str()),
        cell(token.enabled),
        cell(token.restrictions.scopes.joined()),
        cell(token.restrictions.organizations().joined()),
        cell(token.restrictions.resources().joined()),
        cell(token.restrictions.allowed_ips().joined()),
        cell(token.restrictions.limits().joined()),
        cell(i64::from(token.current.version)),
        cell(&token.current.digest.as_bytes()[..]),
        cell(token.current.created_at.as_micros()),
        cell(token.current.rotated_by.as_ref().map(|handle| handle.as_str())),
        cell(previous.map(|previous| i64::from(previous.version))),
        cell(previous.map(|previous| &previous.digest.as_bytes()[..])),
        cell(previous.map(|previous| previous.created_at.as_micros())),
        cell(previous.map(|previous| previous.replaced_at.as_micros())),
        cell(previous.map(|previous| previous.expires_at.as_micros())),
        cell(token.created_at.as_micros()),
        cell(token.updated_at.as_micros()),
        cell(token.expires_at.as_micros()),
        cell(token.lineage.to_bytes()),
        cell(signed(token.version.number())),
    ]
}

fn access_token(token: &AccessToken) -> Vec<Cell<'_>> {
    vec![
        cell(token.handle.as_str()),
        cell(&token.digest.as_bytes()[..]),
        cell(uuid(token.account.as_bytes())),
        cell(token.name.as_ref().map(|name| name.as_str())),
        cell(token.ttl.as_number()),
        cell(token.restrictions.scopes.joined()),
        cell(token.restrictions.organizations().joined()),
        cell(token.restrictions.resources().joined()),
        cell(token.restrictions.allowed_ips().joined()),
        cell(token.restrictions.limits().joined()),
        cell(token.created_at.as_micros()),
        cell(token.expires_at.as_micros()),
        cell(token.source.as_str()),
        cell(token.lineage.to_bytes()),
        cell(i64::from(token.epoch.number())),
        cell(token.sealed.as_ref().map(Sealed::as_bytes)),
        cell(signed(token.version.number())),
    ]
}
