//! `countersign organization …`: the tenants in which bearers act, and who belongs to them.

use std::num::NonZeroUsize;

use clap::{Args, Subcommand, ValueEnum};
use countersign_domain::id::{AccountId, MembershipId, OrganizationId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Common, InAccount, print_json, rows};
use crate::client::read;
use crate::failure::Failure;
use crate::when::When;
use crate::{output, table};

/// What can be done with organizations.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an organization of the account, which belongs to it
    Create(CreateArgs),
    /// List the organizations to which the account belongs
    List(ListArgs),
    /// Stop everybody from acting in an organization, at once
    Deactivate(WhichArgs),
    /// Let its members act in an organization again
    Activate(WhichArgs),
    /// Let an account into an organization, or ask it
    Invite(InviteArgs),
    /// List who belongs to an organization
    Members(MembersArgs),
    /// List to which organizations the account belongs or is invited
    Memberships(ListArgs),
    /// Agree to belong to an organization
    Accept(MemberArgs),
    /// Refuse to belong to an organization
    Reject(MemberArgs),
    /// Stop a membership, at once
    Disable(MemberArgs),
    /// Let a membership go on
    Enable(MemberArgs),
    /// End a membership
    Remove(MemberArgs),
}

/// A new organization.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// What people call it
    name: String,

    #[command(flatten)]
    target: InAccount,
}

/// Which organizations.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Most to show
    #[arg(long, default_value = "1000")]
    limit: NonZeroUsize,

    #[command(flatten)]
    target: InAccount,
}

/// Which organization.
#[derive(Debug, Args)]
pub(crate) struct WhichArgs {
    /// Its id: 32 hex digits
    #[arg(value_name = "ORGANIZATION_ID")]
    id: OrganizationId,

    #[command(flatten)]
    common: Common,
}

/// Whose members.
#[derive(Debug, Args)]
pub(crate) struct MembersArgs {
    /// Its id: 32 hex digits
    #[arg(value_name = "ORGANIZATION_ID")]
    id: OrganizationId,

    /// Most members to show
    #[arg(long, default_value = "1000")]
    limit: NonZeroUsize,

    #[command(flatten)]
    common: Common,
}

/// Who is let in.
#[derive(Debug, Args)]
pub(crate) struct InviteArgs {
    /// The organization: 32 hex digits
    #[arg(value_name = "ORGANIZATION_ID")]
    id: OrganizationId,

    /// The account: 32 hex digits
    #[arg(value_name = "ACCOUNT_ID")]
    invited: AccountId,

    /// As what
    #[arg(long, value_enum, default_value = "default")]
    role: Role,

    /// Let it act only once it has accepted; accounts that are not below the token's always have to
    #[arg(long)]
    ask: bool,

    #[command(flatten)]
    common: Common,
}

/// Which membership.
#[derive(Debug, Args)]
pub(crate) struct MemberArgs {
    /// Its id, as `members`, `memberships` and `invite` print it: 32 hex digits
    #[arg(value_name = "MEMBERSHIP_ID")]
    id: MembershipId,

    #[command(flatten)]
    common: Common,
}

/// As what an account belongs to an organization.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    Default,
    Admin,
    Readonly,
}

impl Role {
    const fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Admin => "admin",
            Self::Readonly => "readonly",
        }
    }
}

/// An organization as the API gives it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Organization {
    id: String,
    name: Option<String>,
    active: bool,
    created_at: When,
}

/// A membership as the API gives it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Membership {
    id: String,
    organization_id: String,
    account_id: String,
    role: String,
    active: bool,
    disabled: bool,
    rejected: bool,
}

impl Membership {
    const fn state(&self) -> &'static str {
        match (self.disabled, self.active, self.rejected) {
            (true, ..) => "disabled",
            (false, true, _) => "active",
            (false, false, true) => "rejected",
            (false, false, false) => "asked",
        }
    }
}

impl Command {
    /// Does it.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match self {
            Self::Create(args) => create(args),
            Self::List(args) => list(args),
            Self::Deactivate(args) => switch(args, "deactivate", "deactivated"),
            Self::Activate(args) => switch(args, "activate", "activated"),
            Self::Invite(args) => invite(args),
            Self::Members(args) => members(args),
            Self::Memberships(args) => memberships(args),
            Self::Accept(args) => step(args, "accept", "accepted"),
            Self::Reject(args) => step(args, "reject", "rejected"),
            Self::Disable(args) => step(args, "disable", "disabled"),
            Self::Enable(args) => step(args, "enable", "enabled"),
            Self::Remove(args) => remove(args),
        }
    }
}

/// A result, or one line that says what was done.
fn tell(common: &Common, result: &Value, line: &str) -> Result<(), Failure> {
    match common.json {
        true => print_json(result),
        false => Ok(output::print(&format!("{line}\n"))?),
    }
}

fn create(args: &CreateArgs) -> Result<(), Failure> {
    let (client, account) = args.target.connect()?;
    let body = json!({"name": args.name});
    let result = client.post(&format!("/v1/Accounts/{account}/organizations"), &body)?.body;
    let id = result.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    tell(&args.target.common, &result, &id)
}

fn list(args: &ListArgs) -> Result<(), Failure> {
    let (client, account) = args.target.connect()?;
    let rows = rows(&client, &format!("/v1/Accounts/{account}/organizations"), args.limit.get())?;
    if args.target.json() {
        return print_json(&Value::Array(rows));
    }
    let organizations: Vec<Organization> = read(Value::Array(rows))?;
    let line = |organization: &Organization| {
        [
            organization.id.clone(),
            organization.name.clone().unwrap_or_default(),
            if organization.active { "active" } else { "deactivated" }.to_owned(),
            organization.created_at.to_string(),
        ]
    };
    Ok(output::print(&table::columns(["ID", "NAME", "STATE", "CREATED"], organizations.iter().map(line)))?)
}

fn switch(args: &WhichArgs, verb: &str, done: &str) -> Result<(), Failure> {
    let path = format!("/v1/Organizations/{}/{verb}", args.id);
    let result = args.common.connect()?.post(&path, &json!({}))?.body;
    tell(&args.common, &result, &format!("{done} {}", args.id))
}

fn invite(args: &InviteArgs) -> Result<(), Failure> {
    let body = json!({
        "accountId": args.invited.to_string(),
        "role": args.role.word(),
        "requireConfirmation": args.ask,
        "sendEmail": false,
    });
    let path = format!("/v1/Organizations/{}/invite", args.id);
    let result = args.common.connect()?.post(&path, &body)?.body;
    let id = result.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    tell(&args.common, &result, &id)
}

fn members(args: &MembersArgs) -> Result<(), Failure> {
    let client = args.common.connect()?;
    let path = format!("/v1/Organizations/{}/accountorganizations", args.id);
    let rows = rows(&client, &path, args.limit.get())?;
    if args.common.json {
        return print_json(&Value::Array(rows));
    }
    let memberships: Vec<Membership> = read(Value::Array(rows))?;
    let line =
        |row: &Membership| [row.id.clone(), row.account_id.clone(), row.role.clone(), row.state().to_owned()];
    Ok(output::print(&table::columns(["ID", "ACCOUNT", "ROLE", "STATE"], memberships.iter().map(line)))?)
}

fn memberships(args: &ListArgs) -> Result<(), Failure> {
    let (client, account) = args.target.connect()?;
    let rows = rows(&client, &format!("/v1/Accounts/{account}/accountorganizations"), args.limit.get())?;
    if args.target.json() {
        return print_json(&Value::Array(rows));
    }
    let memberships: Vec<Membership> = read(Value::Array(rows))?;
    let line = |row: &Membership| {
        [row.id.clone(), row.organization_id.clone(), row.role.clone(), row.state().to_owned()]
    };
    let table = table::columns(["ID", "ORGANIZATION", "ROLE", "STATE"], memberships.iter().map(line));
    Ok(output::print(&table)?)
}

fn step(args: &MemberArgs, verb: &str, done: &str) -> Result<(), Failure> {
    let path = format!("/v1/AccountOrganizations/{}/{verb}", args.id);
    let result = args.common.connect()?.post(&path, &json!({}))?.body;
    tell(&args.common, &result, &format!("{done} {}", args.id))
}

fn remove(args: &MemberArgs) -> Result<(), Failure> {
    let path = format!("/v1/AccountOrganizations/{}", args.id);
    let result = args.common.connect()?.delete(&path)?.body;
    tell(&args.common, &result, &format!("removed {}", args.id))
}
