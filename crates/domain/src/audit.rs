//! What was done, by whom, to what. Written in the transaction of the change itself.

use std::net::IpAddr;

use crate::id::{AccountId, ChangeId, Handle, TokenRef};
use crate::store::Revision;
use crate::time::Timestamp;

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// The bearer of an access token.
    Token {
        /// Whose token.
        account: AccountId,
        /// Which token.
        handle: Handle,
    },
    /// Countersign itself: first start, root token, sweeping.
    System,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Action {
    /// An account was made.
    CreateAccount,
    /// What an account says of itself, or its address, was changed.
    UpdateAccount,
    /// An account got another password; its access tokens ended.
    ChangePassword,
    /// An account and everything below it was stopped.
    DisableAccount,
    /// An account was let go on.
    EnableAccount,
    /// An account and everything below it was ended.
    DeleteAccount,
    /// An organization was made.
    CreateOrganization,
    /// What an organization says of itself was changed.
    UpdateOrganization,
    /// An organization was let act in.
    ActivateOrganization,
    /// An organization was stopped.
    DeactivateOrganization,
    /// An account was invited into an organization.
    InviteMember,
    /// An account agreed to belong to an organization.
    AcceptMembership,
    /// An account refused to belong to an organization.
    RejectMembership,
    /// A membership was let go on.
    EnableMembership,
    /// A membership was stopped.
    DisableMembership,
    /// A membership got another role.
    ChangeRole,
    /// A membership was ended.
    DeleteMembership,
    /// A service token was issued.
    IssueServiceToken,
    /// A service token's name was changed, and nothing else.
    RenameServiceToken,
    /// Several things, or another thing, of a service token were changed.
    UpdateServiceToken,
    /// A service token was given its whole duration again.
    RefreshServiceToken,
    /// A service token got a new secret.
    RotateServiceToken,
    /// A service token was enabled.
    EnableServiceToken,
    /// A service token was disabled.
    DisableServiceToken,
    /// A service token was ended.
    RevokeServiceToken,
    /// An access token was issued.
    IssueAccessToken,
    /// Somebody logged in and got an access token.
    Login,
    /// An access token was issued to act in the name of an account below.
    Impersonate,
    /// An access token was ended.
    RevokeAccessToken,
    /// An access token was ended with everything that stems from it.
    RevokeDescendants,
    /// All access tokens of an account were ended, but for the one that asked.
    RevokeAllAccessTokens,
    /// The root token was set; the one before it ended.
    SetRootToken,
    /// The next keys that sign were made.
    RotateKeys,
    /// The interval in which keys take turns was set.
    ScheduleKeys,
    /// Keys that nobody needed any more were removed.
    RemoveKeys,
    /// The store became what it was at an earlier time.
    RestoreStore,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 36] = [
        Self::CreateAccount,
        Self::UpdateAccount,
        Self::ChangePassword,
        Self::DisableAccount,
        Self::EnableAccount,
        Self::DeleteAccount,
        Self::CreateOrganization,
        Self::UpdateOrganization,
        Self::ActivateOrganization,
        Self::DeactivateOrganization,
        Self::InviteMember,
        Self::AcceptMembership,
        Self::RejectMembership,
        Self::EnableMembership,
        Self::DisableMembership,
        Self::ChangeRole,
        Self::DeleteMembership,
        Self::IssueServiceToken,
        Self::RenameServiceToken,
        Self::UpdateServiceToken,
        Self::RefreshServiceToken,
        Self::RotateServiceToken,
        Self::EnableServiceToken,
        Self::DisableServiceToken,
        Self::RevokeServiceToken,
        Self::IssueAccessToken,
        Self::Login,
        Self::Impersonate,
        Self::RevokeAccessToken,
        Self::RevokeDescendants,
        Self::RevokeAllAccessTokens,
        Self::SetRootToken,
        Self::RotateKeys,
        Self::ScheduleKeys,
        Self::RemoveKeys,
        Self::RestoreStore,
    ];

    /// The word for it, in the store, the API and the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreateAccount => "account.create",
            Self::UpdateAccount => "account.update",
            Self::ChangePassword => "account.change_password",
            Self::DisableAccount => "account.disable",
            Self::EnableAccount => "account.enable",
            Self::DeleteAccount => "account.delete",
            Self::CreateOrganization => "organization.create",
            Self::UpdateOrganization => "organization.update",
            Self::ActivateOrganization => "organization.activate",
            Self::DeactivateOrganization => "organization.deactivate",
            Self::InviteMember => "membership.invite",
            Self::AcceptMembership => "membership.accept",
            Self::RejectMembership => "membership.reject",
            Self::EnableMembership => "membership.enable",
            Self::DisableMembership => "membership.disable",
            Self::ChangeRole => "membership.change_role",
            Self::DeleteMembership => "membership.delete",
            Self::IssueServiceToken => "service_token.issue",
            Self::RenameServiceToken => "service_token.rename",
            Self::UpdateServiceToken => "service_token.update",
            Self::RefreshServiceToken => "service_token.refresh",
            Self::RotateServiceToken => "service_token.rotate",
            Self::EnableServiceToken => "service_token.enable",
            Self::DisableServiceToken => "service_token.disable",
            Self::RevokeServiceToken => "service_token.revoke",
            Self::IssueAccessToken => "access_token.issue",
            Self::Login => "access_token.login",
            Self::Impersonate => "access_token.impersonate",
            Self::RevokeAccessToken => "access_token.revoke",
            Self::RevokeDescendants => "access_token.revoke_descendants",
            Self::RevokeAllAccessTokens => "access_token.revoke_all",
            Self::SetRootToken => "root_token.set",
            Self::RotateKeys => "signing_keys.rotate",
            Self::ScheduleKeys => "signing_keys.schedule",
            Self::RemoveKeys => "signing_keys.remove",
            Self::RestoreStore => "store.restore",
        }
    }

    /// The action of a word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

/// To what it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An account.
    Account(AccountId),
    /// A token of either kind.
    Token(TokenRef),
}

/// From where it was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The client's address, when it is known.
    pub address: Option<IpAddr>,
    /// The id in the log and in the answer of the request.
    pub request_id: Option<Box<str>>,
}

/// One value that became another. Never a secret or a digest of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// Its name in the native API, such as `expires_at`.
    pub field: Box<str>,
    /// What it was; `None` when there was nothing.
    pub from: Option<Box<str>>,
    /// What it became.
    pub to: Option<Box<str>>,
}

/// One line of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Unique over all nodes.
    pub id: ChangeId,
    /// When it was decided.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What.
    pub action: Action,
    /// The account to which the subject belongs.
    pub account: AccountId,
    /// To what.
    pub subject: Subject,
    /// From where.
    pub origin: Origin,
    /// Which values changed.
    pub changes: Vec<FieldChange>,
}

/// An entry with its place in the order of commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its place.
    pub revision: Revision,
    /// The entry.
    pub entry: AuditEntry,
}
