//! The answer of the HTTP door, in Envoy's words.

use std::collections::HashMap;

use countersign_authority::Granted;
use countersign_domain::organization::Organizations;
use countersign_domain::scope::Scope;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value};
use envoy_types::pb::google::rpc::Status;
use futures_util::FutureExt as _;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;

use super::super::{DoorResponse, reply};

/// Let in: who it is goes to the app, that a secret is about to end to the client.
pub(super) fn granted(
    granted: &Granted,
    assertion: Option<&str>,
    headers_to_remove: Vec<String>,
) -> CheckResponse {
    let response = reply::granted(granted, assertion);
    // How long the door's own answer may be kept is no concern of either.
    let said = options(response.headers()).filter(|(name, _)| *name != header::CACHE_CONTROL);
    let (for_client, for_app): (Vec<_>, Vec<_>) = said.partition(|(name, _)| reply::is_for_client(name));
    let options = |said: Vec<(_, HeaderValueOption)>| said.into_iter().map(|(_, option)| option).collect();
    let ok = OkHttpResponse {
        headers: options(for_app),
        headers_to_remove,
        response_headers_to_add: options(for_client),
        ..OkHttpResponse::default()
    };
    CheckResponse {
        status: Some(Status::default()),
        dynamic_metadata: Some(metadata(granted)),
        http_response: Some(HttpResponse::OkResponse(ok)),
    }
}

/// Turned away, with what the HTTP door answers.
pub(super) fn denied(response: DoorResponse) -> CheckResponse {
    let (parts, body) = response.into_parts();
    // It is all there.
    let body = body.collect().now_or_never().and_then(Result::ok).unwrap_or_default().to_bytes();
    let denied = DeniedHttpResponse {
        status: Some(HttpStatus { code: i32::from(parts.status.as_u16()) }),
        headers: options(&parts.headers).map(|(_, option)| option).collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    CheckResponse {
        status: Some(Status { code: code(parts.status), ..Status::default() }),
        dynamic_metadata: None,
        http_response: Some(HttpResponse::DeniedResponse(denied)),
    }
}

/// Of gRPC's codes the one for a refusal; anything but 0 turns away.
fn code(status: StatusCode) -> i32 {
    match status {
        StatusCode::UNAUTHORIZED => 16,
        StatusCode::TOO_MANY_REQUESTS => 8,
        StatusCode::SERVICE_UNAVAILABLE => 14,
        _ => 7,
    }
}

/// Headers that take the place of what was there. Envoys from 1.21 on read the action; earlier ones know only the
/// older `append`, which is off when it is left out. An empty value is kept by all of them.
fn options(headers: &HeaderMap) -> impl Iterator<Item = (&http::HeaderName, HeaderValueOption)> {
    headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let header = HeaderValue { key: name.as_str().to_owned(), value, raw_value: Vec::new() };
        let option = HeaderValueOption {
            header: Some(header),
            append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
            keep_empty_value: true,
            ..HeaderValueOption::default()
        };
        (name, option)
    })
}

/// Who it is, for other filters: whole lists, not cut as in headers.
fn metadata(granted: &Granted) -> Struct {
    let fact = &granted.known.fact;
    let scopes: Vec<String> = match granted.scopes().stated() {
        None => vec![Scope::DEFAULT.to_owned()],
        Some(list) => list.iter().map(|scope| scope.as_str().to_owned()).collect(),
    };
    let organizations = granted.known.organizations(Organizations::MOST);
    let fields = [
        ("account", text(fact.account.to_string())),
        ("token", text(fact.token().to_string())),
        ("kind", text(fact.kind().as_str().to_owned())),
        ("name", text(fact.name.to_string())),
        ("scopes", list(scopes)),
        ("organizations", list(organizations.iter().map(ToString::to_string))),
    ];
    let fields: HashMap<_, _> =
        fields.into_iter().map(|(name, kind)| (name.to_owned(), Value { kind: Some(kind) })).collect();
    Struct { fields }
}

fn text(text: String) -> Kind {
    Kind::StringValue(text)
}

fn list(texts: impl IntoIterator<Item = String>) -> Kind {
    let values = texts.into_iter().map(|value| Value { kind: Some(text(value)) }).collect();
    Kind::ListValue(ListValue { values })
}
