//! The wire's OpenAPI document. The operations describe themselves beside their handlers.

use utoipa::openapi::{InfoBuilder, OpenApi};

use crate::openapi::{access_token_places, describe_places, in_query, need_any_place};

/// The document.
pub(crate) fn openapi() -> OpenApi {
    let mut document = super::operations().into_openapi();
    document.info = InfoBuilder::new()
        .title("Countersign: access tokens")
        .description(Some("The wire of Space Invoices access tokens (LoopBack 3)."))
        .version(env!("CARGO_PKG_VERSION"))
        .build();
    describe_places(&mut document, access_token_places());
    describe_places(&mut document, [in_query("query", "access_token")]);
    need_any_place(&mut document);
    document
}
