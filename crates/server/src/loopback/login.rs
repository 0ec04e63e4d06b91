//! Logging in and out, acting for others, and passwords.

use std::sync::Arc;

use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use countersign_domain::email::Email;
use countersign_domain::error::Denial;
use countersign_domain::id::AccountId;
use countersign_domain::lifetime::Ttl;
use countersign_domain::password::Password;
use http::{HeaderValue, StatusCode, Uri, header};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::auth::{Calling, Comer};
use super::body::{AccessTokenOutput, ttl};
use super::error::Failures;
use super::failure::{ACCOUNT, Failure};
use super::object::read_object;
use crate::App;
use crate::wire::json_answer;

/// What somebody logs in with.
// No `Debug`: it holds a password.
#[derive(ToSchema)]
pub(super) struct LoginInput {
    /// Of the account.
    email: String,
    /// Of the account.
    #[schema(value_type = String)]
    password: Zeroizing<String>,
    /// Seconds to live, as in create.
    #[schema(value_type = Option<i64>)]
    ttl: Option<Value>,
}

impl<S: Sync> FromRequest<S> for LoginInput {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let mut object = read_object(request).await?;
        let password = text(object.remove("password"));
        let email = match object.remove("email").filter(|email| !email.is_null()) {
            Some(Value::String(email)) if !email.is_empty() => email,
            Some(Value::String(_)) | None => {
                let message = "username or email is required";
                return Err(Failure::Coded(StatusCode::BAD_REQUEST, message, "USERNAME_EMAIL_REQUIRED"));
            }
            Some(_) => {
                return Err(Failure::Coded(StatusCode::BAD_REQUEST, "Invalid email", "INVALID_EMAIL"));
            }
        };
        // What is no text is no password, and answered as a wrong one (A18).
        Ok(Self { email, password: password.unwrap_or_default(), ttl: object.remove("ttl") })
    }
}

fn text(value: Option<Value>) -> Option<Zeroizing<String>> {
    match value {
        Some(Value::String(text)) => Some(Zeroizing::new(text)),
        _ => None,
    }
}

fn stated_ttl(value: Option<&Value>) -> Result<Option<Ttl>, Failure> {
    let stated = value.filter(|value| !value.is_null()).map(ttl).transpose()?;
    // 0 means as much as nothing (A10).
    Ok(stated.filter(|_| value.and_then(super::number::whole) != Some(0)))
}

/// `POST /v1/Accounts/login`: a token for one who knows an account's address and password. Answers anybody; a credential
/// is not looked at.
#[utoipa::path(
    post,
    path = "/v1/Accounts/login",
    operation_id = "login",
    request_body(content((LoginInput = "application/json"), (LoginInput = "application/x-www-form-urlencoded"))),
    params(("include" = Option<String>, Query, description = "`user`: with the account")),
    responses((status = 200, description = "the token", body = AccessTokenOutput), Failures),
    security(()),
    tag = "login"
)]
pub(super) async fn login(
    State(app): State<Arc<App>>,
    Comer(origin): Comer,
    uri: Uri,
    input: LoginInput,
) -> Result<Response, Failure> {
    app.check_ready()?;
    let (ttl, password) = (stated_ttl(input.ttl.as_ref())?, Password::presented(&input.password));
    let (token, secret, account) = app.authority.login(&input.email, password, ttl, &origin).await?;
    let mut output = AccessTokenOutput::issued(&token, &secret);
    if includes_user(&uri) {
        output = output.with_user(&app.shown(&account), None);
    }
    Ok(json_answer(StatusCode::OK, &output))
}

fn includes_user(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes())
        .any(|(name, value)| name == "include" && value.eq_ignore_ascii_case("user"))
}

/// `POST /v1/Accounts/logout`: ends the token in use before this is answered.
///
/// Any good access token will do; no scope is needed.
#[utoipa::path(
    post,
    path = "/v1/Accounts/logout",
    operation_id = "logout",
    responses((status = 204, description = "it is done"), Failures),
    tag = "login"
)]
pub(super) async fn logout(State(app): State<Arc<App>>, calling: Calling) -> Result<Response, Failure> {
    let handle = calling.caller.handle;
    match app.authority.revoke_access_token(calling.asked(), handle, false).await {
        Ok(()) => Ok(nothing()),
        // It ended a moment ago.
        Err(countersign_domain::error::Error::NotFound) => Err(Failure::Unauthenticated),
        Err(other) => Err(other.into()),
    }
}

/// 204.
fn nothing() -> Response {
    (StatusCode::NO_CONTENT, [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]).into_response()
}

/// For whom to act.
#[derive(ToSchema)]
pub(super) struct ImpersonateInput {
    /// Of the account; either this, or its id.
    email: Option<String>,
    /// Of the account: 32 hex digits.
    id: Option<String>,
    /// Seconds to live, as in create.
    #[schema(value_type = Option<i64>)]
    ttl: Option<Value>,
}

impl<S: Sync> FromRequest<S> for ImpersonateInput {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let mut object = read_object(request).await?;
        Ok(Self {
            email: optional_text(&mut object, "email")?,
            id: optional_text(&mut object, "id")?,
            ttl: object.remove("ttl"),
        })
    }
}

fn optional_text(object: &mut Map<String, Value>, name: &'static str) -> Result<Option<String>, Failure> {
    match object.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Failure::invalid_in(ACCOUNT, name, "must be a text")),
    }
}

/// `POST /v1/Accounts/impersonate`: a token to act in the name of the caller's account or one below.
///
/// Needs `countersign:access-tokens:write`; the new token is within the caller's in every dimension.
#[utoipa::path(
    post,
    path = "/v1/Accounts/impersonate",
    operation_id = "impersonate",
    request_body(content((ImpersonateInput = "application/json"),
        (ImpersonateInput = "application/x-www-form-urlencoded"))),
    responses((status = 200, description = "the token", body = AccessTokenOutput), Failures),
    tag = "login"
)]
pub(super) async fn impersonate(
    State(app): State<Arc<App>>,
    calling: Calling,
    input: ImpersonateInput,
) -> Result<Response, Failure> {
    let ttl = stated_ttl(input.ttl.as_ref())?.unwrap_or_else(|| app.authority.login_ttl());
    let no_account = || Failure::Denied(Denial::ForeignAccount);
    let account: AccountId = match (&input.id, &input.email) {
        (Some(id), None) => id.parse().map_err(|_| no_account())?,
        (None, Some(email)) => {
            let email = Email::parse(email).map_err(|_| no_account())?;
            app.authority.find_account_within(calling.asked(), &email).await?.ok_or_else(no_account)?
        }
        (None, None) | (Some(_), Some(_)) => {
            return Err(Failure::Malformed("either email or id is required".into()));
        }
    };
    let (token, text) = app.authority.impersonate(calling.asked_about(account), ttl).await?;
    Ok(json_answer(StatusCode::OK, &AccessTokenOutput::issued(&token, &text)))
}

/// Another password.
// No `Debug`: it holds passwords.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct ChangePasswordInput {
    /// The one that the account has.
    #[schema(value_type = String)]
    old_password: Zeroizing<String>,
    /// The one that it shall have; at least 8 characters.
    #[schema(value_type = String)]
    new_password: Zeroizing<String>,
}

impl<S: Sync> FromRequest<S> for ChangePasswordInput {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let mut object = read_object(request).await?;
        let (old, new) = (text(object.remove("oldPassword")), text(object.remove("newPassword")));
        let missing = |name| Failure::Malformed(format!("{name} is a required argument"));
        Ok(Self {
            old_password: old.ok_or_else(|| missing("oldPassword"))?,
            new_password: new.ok_or_else(|| missing("newPassword"))?,
        })
    }
}

/// `POST /v1/Accounts/change-password`: another password for the caller's account, from one who knows the one it had. All
/// its access tokens end but the one in use.
///
/// Needs a token without restrictions.
#[utoipa::path(
    post,
    path = "/v1/Accounts/change-password",
    operation_id = "change_password",
    request_body(content((ChangePasswordInput = "application/json"),
        (ChangePasswordInput = "application/x-www-form-urlencoded"))),
    responses((status = 204, description = "it is done"), Failures),
    tag = "login"
)]
pub(super) async fn change_password(
    State(app): State<Arc<App>>,
    calling: Calling,
    input: ChangePasswordInput,
) -> Result<Response, Failure> {
    let old = Password::presented(&input.old_password);
    let new = Password::parse(&input.new_password);
    let new = new.map_err(|why| Failure::invalid_in(ACCOUNT, "password", why))?;
    app.authority.change_password(calling.asked(), old, new).await?;
    Ok(nothing())
}

macro_rules! needs_email {
    ($($(#[$doc:meta])* $name:ident: $method:ident $path:literal;)*) => {
        $(
            $(#[$doc])*
            #[utoipa::path(
                $method,
                path = $path,
                operation_id = stringify!($name),
                responses(Failures),
                security(()),
                tag = "email"
            )]
            pub(super) async fn $name() -> Failure {
                Failure::email_not_enabled()
            }
        )*
    };
}

needs_email! {
    /// `POST /v1/Accounts/reset`: would send a mail; answers that none is sent here.
    reset: post "/v1/Accounts/reset";
    /// `POST /v1/Accounts/reset-password`: would take what a mail held; answers that none is sent here.
    reset_password: post "/v1/Accounts/reset-password";
    /// `GET /v1/Accounts/confirm`: would take what a mail held; answers that none is sent here.
    confirm: get "/v1/Accounts/confirm";
    /// `POST /v1/Accounts/{id}/verify`: would send a mail; answers that none is sent here.
    verify: post "/v1/Accounts/{id}/verify";
    /// `POST /v1/Accounts/{id}/send-verification`: would send a mail; answers that none is sent here.
    send_verification: post "/v1/Accounts/{id}/send-verification";
}
