//! The wire's OpenAPI document. The operations describe themselves beside their handlers.

use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, SecurityRequirement, ServerBuilder};
use utoipa::{PartialSchema, ToSchema};

use super::body::ServiceTokenOutput;
use super::envelope::{ErrorItem, ResultInfo};
use super::keys::KeysOutput;

/// The envelope around one token.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the envelope prints")]
pub(super) struct TokenAnswer {
    success: bool,
    errors: Vec<ErrorItem>,
    messages: Vec<ErrorItem>,
    result: ServiceTokenOutput,
}

/// The envelope around when keys take turns.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the envelope prints")]
pub(super) struct KeysAnswer {
    success: bool,
    errors: Vec<ErrorItem>,
    messages: Vec<ErrorItem>,
    result: KeysOutput,
}

/// The envelope around a page of tokens.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the envelope prints")]
pub(super) struct TokenPage {
    success: bool,
    errors: Vec<ErrorItem>,
    messages: Vec<ErrorItem>,
    result: Vec<ServiceTokenOutput>,
    result_info: ResultInfo,
}

/// The envelope around errors.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the envelope prints")]
pub(super) struct Failed {
    /// Always `false`.
    success: bool,
    errors: Vec<ErrorItem>,
    messages: Vec<ErrorItem>,
    /// Always `null`.
    result: Option<bool>,
}

/// The document. Its paths stand below `/client/v4`, and the same below `/`.
pub(crate) fn openapi() -> OpenApi {
    let mut document = super::operations().into_openapi();
    document.info = InfoBuilder::new()
        .title("Countersign: service tokens")
        .description(Some("The wire of Cloudflare Access service tokens."))
        .version(env!("CARGO_PKG_VERSION"))
        .build();
    document.servers =
        Some(["/client/v4", "/"].into_iter().map(|url| ServerBuilder::new().url(url).build()).collect());
    let key = |name: &str| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(name)));
    let described = ComponentsBuilder::new()
        .schema(Failed::name(), Failed::schema())
        .security_scheme(
            "api_token",
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()),
        )
        .security_scheme("api_email", key("X-Auth-Email"))
        .security_scheme("api_key", key("X-Auth-Key"))
        .build();
    let components = document.components.get_or_insert_default();
    components.schemas.extend(described.schemas);
    components.security_schemes.extend(described.security_schemes);
    let none: [&str; 0] = [];
    document.security = Some(vec![
        SecurityRequirement::new("api_token", none),
        SecurityRequirement::new("api_email", none).add("api_key", none),
    ]);
    document
}
