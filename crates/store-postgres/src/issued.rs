//! Tokens that a transaction issues. They wait until something may read them, or the transaction is about to end, and are
//! then written together: 64 tokens take two round trips and not 64.

use std::pin::Pin;

use countersign_domain::access_token::{AccessToken, Sealed};
use countersign_domain::change::Mutation;
use countersign_domain::id::{Handle, ServiceTokenId};
use countersign_domain::service_token::ServiceToken;
use futures_util::pin_mut;
use tokio_postgres::Error;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;

use crate::accounts::uuid;
use crate::apply::signed;
use crate::session::Tx;
use crate::sql;

/// Tokens that were issued and are not written yet. Each has a key of its own, or all of them are refused together.
#[derive(Default)]
pub(crate) struct Issued<'b> {
    service_tokens: Vec<&'b ServiceToken>,
    access_tokens: Vec<&'b AccessToken>,
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
            | Mutation::DeleteMembership { .. } => false,
        }
    }

    fn has_service_token(&self, id: ServiceTokenId) -> bool {
        self.service_tokens.iter().any(|token| token.id == id)
    }

    fn has_access_token(&self, handle: Handle) -> bool {
        self.access_tokens.iter().any(|token| token.handle == handle)
    }

    /// Writes them, in the order in which they were issued. One that is there already is an error of its constraint, after
    /// which the transaction, or what came since its savepoint, must be undone.
    pub(crate) async fn write(&mut self, tx: &Tx<'_>) -> Result<(), Error> {
        let Self { service_tokens, access_tokens } = std::mem::take(self);
        copy_service_tokens(tx, &service_tokens).await?;
        copy_access_tokens(tx, &access_tokens).await
    }
}

/// In the order of the columns.
const SERVICE_TOKEN: &[Type] = &[
    Type::UUID,
    Type::UUID,
    Type::UUID,
    Type::TEXT,
    Type::TEXT,
    Type::BOOL,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::INT8,
    Type::BYTEA,
    Type::INT8,
    Type::TEXT,
    Type::INT8,
    Type::BYTEA,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::BYTEA,
    Type::INT8,
];

async fn copy_service_tokens(tx: &Tx<'_>, tokens: &[&ServiceToken]) -> Result<(), Error> {
    if tokens.is_empty() {
        return Ok(());
    }
    let copy = tx.copy(sql::COPY_SERVICE_TOKENS, SERVICE_TOKEN).await?;
    pin_mut!(copy);
    for token in tokens {
        copy_service_token(copy.as_mut(), token).await?;
    }
    copy.finish().await.map(drop)
}

async fn copy_service_token(copy: Pin<&mut BinaryCopyInWriter>, token: &ServiceToken) -> Result<(), Error> {
    let previous = token.previous.as_ref();
    copy.write(&[
        &uuid(token.id.as_bytes()),
        &uuid(token.account.as_bytes()),
        &uuid(token.client_id.as_bytes()),
        &token.name.as_str(),
        &token.lifetime.as_str(),
        &token.enabled,
        &token.restrictions.scopes.joined(),
        &token.restrictions.organizations().joined(),
        &token.restrictions.resources().joined(),
        &token.restrictions.allowed_ips().joined(),
        &i64::from(token.current.version),
        &&token.current.digest.as_bytes()[..],
        &token.current.created_at.as_micros(),
        &token.current.rotated_by.as_ref().map(|handle| handle.as_str()),
        &previous.map(|previous| i64::from(previous.version)),
        &previous.map(|previous| &previous.digest.as_bytes()[..]),
        &previous.map(|previous| previous.created_at.as_micros()),
        &previous.map(|previous| previous.replaced_at.as_micros()),
        &previous.map(|previous| previous.expires_at.as_micros()),
        &token.created_at.as_micros(),
        &token.updated_at.as_micros(),
        &token.expires_at.as_micros(),
        &token.lineage.to_bytes(),
        &signed(token.version.number()),
    ])
    .await
}

/// In the order of the columns.
const ACCESS_TOKEN: &[Type] = &[
    Type::TEXT,
    Type::BYTEA,
    Type::UUID,
    Type::TEXT,
    Type::INT8,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::INT8,
    Type::INT8,
    Type::TEXT,
    Type::BYTEA,
    Type::INT8,
    Type::BYTEA,
    Type::INT8,
];

async fn copy_access_tokens(tx: &Tx<'_>, tokens: &[&AccessToken]) -> Result<(), Error> {
    if tokens.is_empty() {
        return Ok(());
    }
    let copy = tx.copy(sql::COPY_ACCESS_TOKENS, ACCESS_TOKEN).await?;
    pin_mut!(copy);
    for token in tokens {
        copy_access_token(copy.as_mut(), token).await?;
    }
    copy.finish().await.map(drop)
}

async fn copy_access_token(copy: Pin<&mut BinaryCopyInWriter>, token: &AccessToken) -> Result<(), Error> {
    copy.write(&[
        &token.handle.as_str(),
        &&token.digest.as_bytes()[..],
        &uuid(token.account.as_bytes()),
        &token.name.as_ref().map(|name| name.as_str()),
        &token.ttl.as_number(),
        &token.restrictions.scopes.joined(),
        &token.restrictions.organizations().joined(),
        &token.restrictions.resources().joined(),
        &token.restrictions.allowed_ips().joined(),
        &token.created_at.as_micros(),
        &token.expires_at.as_micros(),
        &token.source.as_str(),
        &token.lineage.to_bytes(),
        &i64::from(token.epoch.number()),
        &token.sealed.as_ref().map(Sealed::as_bytes),
        &signed(token.version.number()),
    ])
    .await
}
