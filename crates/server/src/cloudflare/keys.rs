//! When the keys take turns by which origins check what doors tell them (cloudflare-access.md 5.4).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use countersign_authority::KeySchedule;
use countersign_domain::error::{Error, Field};
use countersign_domain::signing_key::INTERVAL_DAYS;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Asking;
use super::body::{Json, NoInput, WholeNumber};
use super::envelope::success;
use super::failure::Failure;
use super::openapi::{Failed, KeysAnswer};
use crate::App;
use crate::time_text::rfc3339;

/// Of an update.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct KeysInput {
    /// 21 to 365.
    #[schema(value_type = u32)]
    key_rotation_interval_days: Option<WholeNumber>,
}

/// When the keys take turns.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeysOutput {
    /// How many days keys sign.
    key_rotation_interval_days: u16,
    /// How many days until the next ones do.
    days_until_next_rotation: u16,
    /// RFC 3339: when those that sign began to.
    last_key_rotation_at: Option<String>,
}

/// `GET …/access/keys`.
#[utoipa::path(
    get,
    path = "/accounts/{account_id}/access/keys",
    operation_id = "show_key_schedule",
    params(("account_id" = String, Path, description = "32 hex digits")),
    responses(
        (status = 200, description = "when keys take turns", body = KeysAnswer),
        (status = "4XX", description = "refused; nothing has changed", body = Failed),
        (status = "5XX", description = "a fault of ours; a change may have been made", body = Failed)
    ),
    tag = "keys"
)]
pub(super) async fn show(State(app): State<Arc<App>>, asking: Asking) -> Result<Response, Failure> {
    Ok(schedule(app.authority.load_key_schedule(asking.asked())?))
}

/// `PUT …/access/keys`: only in the root account, because the keys sign for all.
#[utoipa::path(
    put,
    path = "/accounts/{account_id}/access/keys",
    operation_id = "update_key_schedule",
    params(("account_id" = String, Path, description = "32 hex digits")),
    request_body = KeysInput,
    responses(
        (status = 200, description = "when keys take turns", body = KeysAnswer),
        (status = "4XX", description = "refused; nothing has changed", body = Failed),
        (status = "5XX", description = "a fault of ours; a change may have been made", body = Failed)
    ),
    tag = "keys"
)]
pub(super) async fn update(
    State(app): State<Arc<App>>,
    asking: Asking,
    Json(input): Json<KeysInput>,
) -> Result<Response, Failure> {
    let wrong = || {
        let (fewest, most) = INTERVAL_DAYS.into_inner();
        Error::invalid(Field::KeyInterval, format!("must be {fewest} to {most} days"))
    };
    let days = input.key_rotation_interval_days.and_then(|days| u16::try_from(days.number()).ok());
    Ok(schedule(app.authority.set_key_interval(asking.asked(), days.ok_or_else(wrong)?).await?))
}

/// `POST …/access/keys/rotate`: the next keys, out of turn. They sign in ten minutes, when everybody can know them.
#[utoipa::path(
    post,
    path = "/accounts/{account_id}/access/keys/rotate",
    operation_id = "rotate_keys",
    params(("account_id" = String, Path, description = "32 hex digits")),
    responses(
        (status = 200, description = "when keys take turns", body = KeysAnswer),
        (status = "4XX", description = "refused; nothing has changed", body = Failed),
        (status = "5XX", description = "a fault of ours; a change may have been made", body = Failed)
    ),
    tag = "keys"
)]
pub(super) async fn rotate(
    State(app): State<Arc<App>>,
    asking: Asking,
    Json(NoInput {}): Json<NoInput>,
) -> Result<Response, Failure> {
    Ok(schedule(app.authority.rotate_keys(asking.asked()).await?))
}

fn schedule(schedule: KeySchedule) -> Response {
    let output = KeysOutput {
        key_rotation_interval_days: schedule.interval_days,
        days_until_next_rotation: schedule.days_until_next,
        last_key_rotation_at: rfc3339(schedule.last_rotated_at),
    };
    success(StatusCode::OK, output)
}
