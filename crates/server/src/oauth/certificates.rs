//! `GET /cdn-cgi/access/certs`: the keys by which services check what doors tell them, as Cloudflare publishes them
//! (cloudflare-access.md 5.4).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use countersign_authority::{Certificate, Jwk};
use http::{StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::failure::{Failure, Failures};
use super::key_set::KEEP;
use crate::App;
use crate::wire::{Fault, json_answer};

/// Keys for RS256, each as a JWK and as a certificate.
#[derive(Serialize, ToSchema)]
pub(super) struct CertificatesBody {
    #[schema(value_type = Vec<Object>)]
    keys: Vec<Jwk>,
    /// Of the key that signs.
    public_cert: CertificateBody,
    public_certs: Vec<CertificateBody>,
}

#[derive(Clone, Serialize, ToSchema)]
struct CertificateBody {
    kid: String,
    /// In PEM.
    cert: String,
}

impl From<Certificate> for CertificateBody {
    fn from(Certificate { kid, pem }: Certificate) -> Self {
        Self { kid, cert: pem }
    }
}

/// `GET /cdn-cgi/access/certs`: the keys of `Cf-Access-Jwt-Assertion`.
#[utoipa::path(
    get,
    path = "/cdn-cgi/access/certs",
    operation_id = "show_certificates",
    responses((status = 200, description = "the keys", body = CertificatesBody), Failures),
    security(()),
    tag = "oauth"
)]
pub(super) async fn show(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    let (keys, certificates) = match app.authority.assertion_keys() {
        Ok(found) => found,
        Err(error) => return Ok(Fault::response(error)),
    };
    let public_certs: Vec<CertificateBody> = certificates.into_iter().map(Into::into).collect();
    let public_cert = public_certs.first().cloned().ok_or(Failure::Unready)?;
    let mut response = json_answer(StatusCode::OK, &CertificatesBody { keys, public_cert, public_certs });
    response.headers_mut().insert(header::CACHE_CONTROL, KEEP);
    Ok(response)
}
