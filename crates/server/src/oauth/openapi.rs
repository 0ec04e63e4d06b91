//! The wire's OpenAPI document. Introspection, which no router knows, is described here.

use utoipa::OpenApi as _;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi};

use super::failure::Failures;
use super::introspect::{Active, Inactive, IntrospectionForm};
use crate::openapi::{Place, describe_places, need_any_place};

/// The document.
pub(crate) fn openapi() -> OpenApi {
    #[derive(utoipa::OpenApi)]
    #[openapi(paths(introspect), components(schemas(Inactive)))]
    struct Introspection;
    let mut document = super::operations().into_openapi();
    document.merge(Introspection::openapi());
    document.info = InfoBuilder::new()
        .title("Countersign: tokens, introspection, revocation, metadata")
        .description(Some("RFC 6749 (4.4), RFC 7662, RFC 7009, RFC 7517 and RFC 8414; for origins of Cloudflare Access its certificates and identities."))
        .version(env!("CARGO_PKG_VERSION"))
        .build();
    let place =
        |name, scheme| -> Place { (name, SecurityScheme::Http(HttpBuilder::new().scheme(scheme).build())) };
    describe_places(
        &mut document,
        [place("bearer", HttpAuthScheme::Bearer), place("client", HttpAuthScheme::Basic)],
    );
    need_any_place(&mut document);
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("CF_Authorization")));
    describe_places(&mut document, [("cookie", cookie)]);
    document
}

/// `POST /oauth2/introspect`: whether a credential is good for what is demanded, and whose it is (RFC 7662).
///
/// Needs an access token with `countersign:verify`, or client id and secret of a service token that states this scope.
/// Speaks only of credentials of the client's account and of accounts below it; any other is not active.
#[utoipa::path(
    post,
    path = "/oauth2/introspect",
    operation_id = "introspect",
    params(("scope" = Option<Vec<String>>, Query, description = "all are needed; `a|b` is one of the two"),
        ("organization" = Option<String>, Query, description = "in which the bearer must be allowed to act"),
        ("account" = Option<String>, Query, description = "to which, or below which, it must belong"),
        ("kind" = Option<String>, Query, description = "`service` or `access`"),
        ("audience" = Option<Vec<String>>, Query, description = "for all of which a signed token must be; left out: for the issuer")),
    request_body(content = IntrospectionForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "what is said of it; of one that is not good, `active` alone", body = Active),
        Failures),
    tag = "oauth"
)]
#[expect(dead_code, reason = "describes what is answered before any router")]
fn introspect() {}
