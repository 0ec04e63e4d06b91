//! The wire's OpenAPI document. The operations describe themselves beside their handlers; the doors, which no router
//! knows, are described here.

use utoipa::OpenApi as _;
use utoipa::openapi::path::PathItem;
use utoipa::openapi::{InfoBuilder, OpenApi};

use crate::openapi::{access_token_places, describe_places, in_header, need_any_place};

/// The document.
pub(crate) fn openapi() -> OpenApi {
    let mut document = super::operations().into_openapi();
    document.merge(doors());
    document.info = InfoBuilder::new()
        .title("Countersign: verification, doors, audit, health")
        .description(Some("Countersign's own API, and its door for proxies."))
        .version(env!("CARGO_PKG_VERSION"))
        .build();
    describe_places(&mut document, access_token_places());
    need_any_place(&mut document);
    let pair = [
        in_header("client_id", "CF-Access-Client-Id"),
        in_header("client_secret", "CF-Access-Client-Secret"),
    ];
    describe_places(&mut document, pair);
    document
}

/// The doors answer every method alike.
fn doors() -> OpenApi {
    #[derive(utoipa::OpenApi)]
    #[openapi(paths(authz, authz_path))]
    struct Doors;
    let mut doors = Doors::openapi();
    doors.paths.paths.values_mut().for_each(name_by_method);
    doors
}

/// Ids of operations are unique in a document.
fn name_by_method(item: &mut PathItem) {
    let operations = [
        ("get", &mut item.get),
        ("put", &mut item.put),
        ("post", &mut item.post),
        ("delete", &mut item.delete),
        ("options", &mut item.options),
        ("head", &mut item.head),
        ("patch", &mut item.patch),
        ("trace", &mut item.trace),
    ];
    for (method, operation) in operations {
        let id = operation.as_mut().and_then(|operation| operation.operation_id.as_mut());
        if let Some(id) = id {
            id.push('_');
            id.push_str(method);
        }
    }
}

/// `/authz`: lets a request to somebody else's service in, or turns it away; the demand is in the query.
#[utoipa::path(
    method(get, put, post, delete, options, head, patch, trace),
    path = "/authz",
    params(("scope" = Option<Vec<String>>, Query, description = "all are needed; `a|b` is one of the two"),
        ("organization" = Option<String>, Query, description = "in which the bearer must be allowed to act"),
        ("account" = Option<String>, Query, description = "to which, or below which, it must belong"),
        ("kind" = Option<String>, Query, description = "`service` or `access`"),
        ("X-Countersign-Demand" = Option<Vec<String>>, Header, description = "more of the same, as a query"),
        ("X-Original-Method" = Option<String>, Header, description = "of the original request (nginx)"),
        ("X-Original-URI" = Option<String>, Header, description = "of the original request (nginx)"),
        ("X-Original-URL" = Option<String>, Header, description = "of the original request (ingress-nginx)"),
        ("X-Forwarded-Method" = Option<String>, Header, description = "of the original request (Traefik, Caddy)"),
        ("X-Forwarded-Uri" = Option<String>, Header, description = "of the original request (Traefik, Caddy)"),
        ("X-Forwarded-For" = Option<String>, Header, description = "the client's address, through trusted proxies")),
    responses((status = 200, description = "let in; `X-Countersign-*` say who it is"),
        (status = 401, description = "no credential, or not a good one"),
        (status = 403, description = "a good one, but not here"),
        (status = 503, description = "nothing is known yet")),
    security(("client_id" = [], "client_secret" = []), ("bearer" = []), ("basic" = []), ("bare" = [])),
    tag = "doors"
)]
#[expect(dead_code, reason = "describes what is answered before any router")]
fn authz() {}

/// `/authz/{path}`: as `/authz`, for proxies that send the original request itself.
#[utoipa::path(
    method(get, put, post, delete, options, head, patch, trace),
    path = "/authz/{path}",
    params(("path" = String, Path, description = "of the original request, slashes and query included"),
        ("X-Countersign-Demand" = String, Header, description = "exactly one; `any` when nothing is demanded"),
        ("X-Forwarded-For" = Option<String>, Header, description = "the client's address, through trusted proxies")),
    responses((status = 200, description = "let in; `X-Countersign-*` say who it is"),
        (status = 401, description = "no credential, or not a good one"),
        (status = 403, description = "a good one, but not here"),
        (status = 503, description = "nothing is known yet")),
    security(("client_id" = [], "client_secret" = []), ("bearer" = []), ("basic" = []), ("bare" = [])),
    tag = "doors"
)]
#[expect(dead_code, reason = "describes what is answered before any router")]
fn authz_path() {}
