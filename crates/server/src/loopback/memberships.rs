//! The operations on access objects: that an account belongs to an organization.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use countersign_authority::MembershipStep;
use countersign_domain::id::MembershipId;
use http::StatusCode;

use super::accounts::{Count, Success};
use super::auth::AskingAbout;
use super::error::Failures;
use super::failure::Failure;
use super::organization_body::RoleInput;
use crate::App;
use crate::wire::json_answer;

type AskingAboutMembership = AskingAbout<MembershipId>;

async fn step(app: &App, asking: &AskingAboutMembership, step: MembershipStep) -> Result<Response, Failure> {
    app.authority.step_membership(asking.calling.asked(), asking.id, step).await?;
    Ok(Success::answer())
}

/// `POST /v1/AccountOrganizations/{id}/accept`: the account agrees to belong to the organization.
///
/// Needs `countersign:accounts:write` and a token without restrictions, of the account or one above it.
#[utoipa::path(
    post,
    path = "/v1/AccountOrganizations/{id}/accept",
    operation_id = "accept_membership",
    params(("id" = String, Path, description = "of the access object: 32 hex digits")),
    responses((status = 200, description = "it is done", body = Success), Failures),
    tag = "organizations"
)]
pub(super) async fn accept(
    State(app): State<Arc<App>>,
    asking: AskingAboutMembership,
) -> Result<Response, Failure> {
    step(&app, &asking, MembershipStep::Accept).await
}

/// `POST /v1/AccountOrganizations/{id}/reject`: the account refuses to belong to the organization.
///
/// Needs `countersign:accounts:write`, of the account or one above it.
#[utoipa::path(
    post,
    path = "/v1/AccountOrganizations/{id}/reject",
    operation_id = "reject_membership",
    params(("id" = String, Path, description = "of the access object: 32 hex digits")),
    responses((status = 200, description = "it is done", body = Success), Failures),
    tag = "organizations"
)]
pub(super) async fn reject(
    State(app): State<Arc<App>>,
    asking: AskingAboutMembership,
) -> Result<Response, Failure> {
    step(&app, &asking, MembershipStep::Reject).await
}

/// `POST /v1/AccountOrganizations/{id}/enable`: those who manage the organization let a membership go on.
///
/// Needs `countersign:accounts:write` and a token without restrictions.
#[utoipa::path(
    post,
    path = "/v1/AccountOrganizations/{id}/enable",
    operation_id = "enable_membership",
    params(("id" = String, Path, description = "of the access object: 32 hex digits")),
    responses((status = 200, description = "it is done", body = Success), Failures),
    tag = "organizations"
)]
pub(super) async fn enable(
    State(app): State<Arc<App>>,
    asking: AskingAboutMembership,
) -> Result<Response, Failure> {
    step(&app, &asking, MembershipStep::Enable).await
}

/// `POST /v1/AccountOrganizations/{id}/disable`: those who manage the organization stop a membership.
///
/// Needs `countersign:accounts:write`.
#[utoipa::path(
    post,
    path = "/v1/AccountOrganizations/{id}/disable",
    operation_id = "disable_membership",
    params(("id" = String, Path, description = "of the access object: 32 hex digits")),
    responses((status = 200, description = "it is done", body = Success), Failures),
    tag = "organizations"
)]
pub(super) async fn disable(
    State(app): State<Arc<App>>,
    asking: AskingAboutMembership,
) -> Result<Response, Failure> {
    step(&app, &asking, MembershipStep::Disable).await
}

/// `POST /v1/AccountOrganizations/{id}/change-role`: those who manage the organization give another role.
///
/// Needs `countersign:accounts:write`.
#[utoipa::path(
    post,
    path = "/v1/AccountOrganizations/{id}/change-role",
    operation_id = "change_role",
    params(("id" = String, Path, description = "of the access object: 32 hex digits")),
    request_body(content((RoleInput = "application/json"), (RoleInput = "application/x-www-form-urlencoded"))),
    responses((status = 200, description = "it is done", body = Success), Failures),
    tag = "organizations"
)]
pub(super) async fn change_role(
    State(app): State<Arc<App>>,
    asking: AskingAboutMembership,
    input: RoleInput,
) -> Result<Response, Failure> {
    step(&app, &asking, MembershipStep::ChangeRole(input.role)).await
}

/// `DELETE /v1/AccountOrganizations/{id}`: ends a membership before this is answered: the account leaves, or is put out.
///
/// Needs `countersign:accounts:write`, of the account, of the organization's, or of one above either.
#[utoipa::path(
    delete,
    path = "/v1/AccountOrganizations/{id}",
    operation_id = "delete_membership",
    params(("id" = String, Path, description = "of the access object: 32 hex digits")),
    responses((status = 200, description = "it is done", body = Count), Failures),
    tag = "organizations"
)]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    asking: AskingAboutMembership,
) -> Result<Response, Failure> {
    app.authority.delete_membership(asking.calling.asked(), asking.id).await?;
    Ok(json_answer(StatusCode::OK, &Count { count: 1 }))
}
