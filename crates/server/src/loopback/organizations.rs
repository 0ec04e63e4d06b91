//! The operations on organizations.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use countersign_authority::Invitation;
use countersign_domain::email::Email;
use countersign_domain::error::{Error, Field};
use countersign_domain::id::{AccountId, OrganizationId};
use countersign_domain::organization::Membership;
use countersign_domain::store::Page;
use http::StatusCode;

use super::accounts::{Count, Success, counted};
use super::auth::{Asking, AskingAbout};
use super::error::Failures;
use super::failure::Failure;
use super::filter::{Paging, Unfiltered};
use super::organization_body::{InviteInput, MembershipOutput, OrganizationInput, OrganizationOutput};
use crate::App;
use crate::wire::json_answer;

/// `POST /v1/Accounts/{id}/organizations`: makes an organization of an account, which belongs to it.
///
/// Needs `countersign:accounts:write`.
#[utoipa::path(
    post,
    path = "/v1/Accounts/{id}/organizations",
    operation_id = "create_organization",
    params(("id" = String, Path, description = "of the account: 32 hex digits, or `me`")),
    request_body(content((OrganizationInput = "application/json"),
        (OrganizationInput = "application/x-www-form-urlencoded"))),
    responses((status = 200, description = "the organization", body = OrganizationOutput), Failures),
    tag = "organizations"
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    asking: Asking,
    input: OrganizationInput,
) -> Result<Response, Failure> {
    let organization = app.authority.create_organization(asking.asked(), input.wanted()?).await?;
    Ok(json_answer(StatusCode::OK, &OrganizationOutput::from(&organization)))
}

/// `GET /v1/Accounts/{id}/organizations`: to which organizations an account belongs, in the order they were made.
///
/// Needs `countersign:accounts:read`.
#[utoipa::path(
    get,
    path = "/v1/Accounts/{id}/organizations",
    operation_id = "list_organizations",
    params(("id" = String, Path, description = "of the account: 32 hex digits, or `me`"),
        ("filter" = Option<String>, Query, description = "JSON or brackets: `limit` (at most 100) and `skip`")),
    responses((status = 200, description = "a page", body = Vec<OrganizationOutput>,
            headers(("x-total-count" = u64, description = "how many there are in all"))), Failures),
    tag = "organizations"
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    asking: Asking,
    paging: Paging,
) -> Result<Response, Failure> {
    let page = app.authority.list_organizations(asking.asked(), paging.offset, paging.limit).await?;
    let organizations: Vec<_> = page.items.iter().map(OrganizationOutput::from).collect();
    Ok(counted(json_answer(StatusCode::OK, &organizations), page.total))
}

/// `GET /v1/Accounts/{id}/organizations/count`: to how many organizations an account belongs.
///
/// Needs `countersign:accounts:read`.
#[utoipa::path(
    get,
    path = "/v1/Accounts/{id}/organizations/count",
    operation_id = "count_organizations",
    params(("id" = String, Path, description = "of the account: 32 hex digits, or `me`")),
    responses((status = 200, description = "how many", body = Count), Failures),
    tag = "organizations"
)]
pub(super) async fn count(
    State(app): State<Arc<App>>,
    asking: Asking,
    Unfiltered: Unfiltered,
) -> Result<Response, Failure> {
    let page = app.authority.list_organizations(asking.asked(), 0, 0).await?;
    Ok(json_answer(StatusCode::OK, &Count { count: page.total }))
}

/// `GET /v1/Organizations/{id}`: an organization in which the caller acts, or which it manages.
///
/// Needs `countersign:accounts:read`.
#[utoipa::path(
    get,
    path = "/v1/Organizations/{id}",
    operation_id = "show_organization",
    params(("id" = String, Path, description = "of the organization: 32 hex digits")),
    responses((status = 200, description = "the organization", body = OrganizationOutput), Failures),
    tag = "organizations"
)]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    AskingAbout { calling, id }: AskingAbout<OrganizationId>,
) -> Result<Response, Failure> {
    let organization = app.authority.load_organization(calling.asked(), id).await?;
    Ok(json_answer(StatusCode::OK, &OrganizationOutput::from(&organization)))
}

/// `PATCH /v1/Organizations/{id}`: changes what is stated of an organization that the caller manages.
///
/// Needs `countersign:accounts:write`.
#[utoipa::path(
    patch,
    path = "/v1/Organizations/{id}",
    operation_id = "update_organization",
    params(("id" = String, Path, description = "of the organization: 32 hex digits")),
    request_body(content((OrganizationInput = "application/json"),
        (OrganizationInput = "application/x-www-form-urlencoded"))),
    responses((status = 200, description = "the organization", body = OrganizationOutput), Failures),
    tag = "organizations"
)]
pub(super) async fn update(
    State(app): State<Arc<App>>,
    AskingAbout { calling, id }: AskingAbout<OrganizationId>,
    input: OrganizationInput,
) -> Result<Response, Failure> {
    let merge = |before: &_| input.merge(before);
    let organization = app.authority.update_organization(calling.asked(), id, &merge).await?;
    Ok(json_answer(StatusCode::OK, &OrganizationOutput::from(&organization)))
}

/// `POST /v1/Organizations/{id}/activate`: lets the members of an organization act in it again.
///
/// Needs `countersign:accounts:write` and a token without restrictions.
#[utoipa::path(
    post,
    path = "/v1/Organizations/{id}/activate",
    operation_id = "activate_organization",
    params(("id" = String, Path, description = "of the organization: 32 hex digits")),
    responses((status = 200, description = "it is done", body = Success), Failures),
    tag = "organizations"
)]
pub(super) async fn activate(
    State(app): State<Arc<App>>,
    AskingAbout { calling, id }: AskingAbout<OrganizationId>,
) -> Result<Response, Failure> {
    app.authority.set_organization_active(calling.asked(), id, true).await?;
    Ok(Success::answer())
}

/// `POST /v1/Organizations/{id}/deactivate`: stops everybody from acting in an organization before this is answered.
///
/// Needs `countersign:accounts:write`.
#[utoipa::path(
    post,
    path = "/v1/Organizations/{id}/deactivate",
    operation_id = "deactivate_organization",
    params(("id" = String, Path, description = "of the organization: 32 hex digits")),
    responses((status = 200, description = "it is done", body = Success), Failures),
    tag = "organizations"
)]
pub(super) async fn deactivate(
    State(app): State<Arc<App>>,
    AskingAbout { calling, id }: AskingAbout<OrganizationId>,
) -> Result<Response, Failure> {
    app.authority.set_organization_active(calling.asked(), id, false).await?;
    Ok(Success::answer())
}

/// `POST /v1/Organizations/{id}/invite`: invites an account that there is; no mail is sent.
///
/// Needs `countersign:accounts:write` and a token without restrictions.
#[utoipa::path(
    post,
    path = "/v1/Organizations/{id}/invite",
    operation_id = "invite_into_organization",
    params(("id" = String, Path, description = "of the organization: 32 hex digits")),
    request_body(content((InviteInput = "application/json"), (InviteInput = "application/x-www-form-urlencoded"))),
    responses((status = 200, description = "the access object", body = MembershipOutput), Failures),
    tag = "organizations"
)]
pub(super) async fn invite(
    State(app): State<Arc<App>>,
    AskingAbout { calling, id }: AskingAbout<OrganizationId>,
    input: InviteInput,
) -> Result<Response, Failure> {
    if input.send_email {
        return Err(Failure::email_not_enabled());
    }
    let account = invited(&app, &input).await?;
    let invitation = Invitation { account, role: input.role, asks: input.require_confirmation };
    let membership = app.authority.invite(calling.asked(), id, invitation).await?;
    Ok(json_answer(StatusCode::OK, &MembershipOutput::from(&membership)))
}

/// Whoever is named, under an id that none has when there is no such account: whether the caller may invite comes first.
async fn invited(app: &App, input: &InviteInput) -> Result<AccountId, Failure> {
    match (&input.account_id, &input.email) {
        (Some(id), None) => Ok(id.parse().unwrap_or(AccountId::OF_NONE)),
        (None, Some(email)) => {
            let email = Email::parse(email);
            let email = email.map_err(|why| Error::invalid(Field::Email, why.to_string()))?;
            Ok(app.authority.find_account_id(&email).await?.unwrap_or(AccountId::OF_NONE))
        }
        (None, None) | (Some(_), Some(_)) => {
            Err(Failure::Malformed("either accountId or email is required".into()))
        }
    }
}

/// `GET /v1/Organizations/{id}/accountorganizations`: who belongs to an organization that the caller manages.
///
/// Needs `countersign:accounts:read`.
#[utoipa::path(
    get,
    path = "/v1/Organizations/{id}/accountorganizations",
    operation_id = "list_memberships",
    params(("id" = String, Path, description = "of the organization: 32 hex digits"),
        ("filter" = Option<String>, Query, description = "JSON or brackets: `limit` (at most 100) and `skip`")),
    responses((status = 200, description = "a page", body = Vec<MembershipOutput>,
            headers(("x-total-count" = u64, description = "how many there are in all"))), Failures),
    tag = "organizations"
)]
pub(super) async fn list_memberships(
    State(app): State<Arc<App>>,
    AskingAbout { calling, id }: AskingAbout<OrganizationId>,
    paging: Paging,
) -> Result<Response, Failure> {
    let page = app.authority.list_memberships(calling.asked(), id, paging.offset, paging.limit).await?;
    Ok(memberships_answer(&page))
}

/// `GET /v1/Accounts/{id}/accountorganizations`: to what an account belongs, or is invited (ours: the vendor tells an
/// invited account by mail alone).
///
/// Needs `countersign:accounts:read`.
#[utoipa::path(
    get,
    path = "/v1/Accounts/{id}/accountorganizations",
    operation_id = "list_memberships_of_account",
    params(("id" = String, Path, description = "of the account: 32 hex digits, or `me`"),
        ("filter" = Option<String>, Query, description = "JSON or brackets: `limit` (at most 100) and `skip`")),
    responses((status = 200, description = "a page", body = Vec<MembershipOutput>,
            headers(("x-total-count" = u64, description = "how many there are in all"))), Failures),
    tag = "organizations"
)]
pub(super) async fn list_memberships_of_account(
    State(app): State<Arc<App>>,
    asking: Asking,
    paging: Paging,
) -> Result<Response, Failure> {
    let asked = asking.asked();
    let page = app.authority.list_memberships_of_account(asked, paging.offset, paging.limit).await?;
    Ok(memberships_answer(&page))
}

fn memberships_answer(page: &Page<Membership>) -> Response {
    let memberships: Vec<_> = page.items.iter().map(MembershipOutput::from).collect();
    counted(json_answer(StatusCode::OK, &memberships), page.total)
}
