//! `countersign jwt verify`: would a service take this token that checks it by itself? Checked by another library than the one
//! that signs, from what is published.

use clap::Args;
use countersign_domain::id::AccountId;
use countersign_domain::scope::Scopes;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::presented::Source;
use super::super::print_json;
use super::Claims;
use crate::client::{Client, ServerArgs, read};
use crate::failure::Failure;
use crate::output;

pub(crate) const EXAMPLES: &str = "\
What was revoked is not asked for: `countersign verify --token-stdin` does that.

Examples:
  countersign jwt verify < token.txt
  countersign jwt verify --from token.txt --audience https://orders.example.com \\
    --scope orders:read --account 01a20067236f7649817b20622efe3fc9
  countersign jwt verify --assertion --audience 4714…b6f2 < assertion.txt

Exit code 0: good. 1: refused; the reason is on standard output.";

/// Which token, and what the service wants of it.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    from: Source,

    /// The service that the token must be for [default: the issuer]
    #[arg(long, value_name = "URI", help_heading = "Demand")]
    audience: Option<String>,

    /// A scope that it must have; repeatable, all are needed
    #[arg(long = "scope", value_name = "SCOPE", help_heading = "Demand")]
    scopes: Vec<String>,

    /// The account that it must belong to, or stand below
    #[arg(long, value_name = "ACCOUNT_ID", help_heading = "Demand")]
    account: Option<AccountId>,

    /// It is what a door asserts to an application (`Cf-Access-Jwt-Assertion`), which has neither scope nor account
    #[arg(long, requires = "audience", conflicts_with_all = ["scopes", "account"])]
    assertion: bool,

    #[command(flatten)]
    server: ServerArgs,

    /// Print the claims, or the reason, as JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// What everybody may know of the server.
struct Published {
    issuer: String,
    keys: JwkSet,
}

/// Why it is refused.
#[derive(Debug)]
enum Refusal {
    /// The library says so.
    Library(Error),
    UnknownKey,
    WrongType,
    MissingScope,
    WrongAccount,
}

impl VerifyArgs {
    /// Checks, prints what came of it, and ends with it.
    pub(super) fn verify(&self) -> Result<(), Failure> {
        let text = self.from.token()?;
        let published = self.published()?;
        match self.check(text.reveal().trim(), &published) {
            Ok(claims) if self.json => print_json(&claims),
            Ok(claims) => {
                let claims: Claims = read(claims)?;
                Ok(output::print(&format!("good\n{}", claims.text()))?)
            }
            Err(refusal) => {
                let reason = refusal.reason(&published.issuer);
                match self.json {
                    true => print_json(&json!({ "refused": reason }))?,
                    false => output::print(&format!("refused: {}\n", output::harmless(&reason)))?,
                }
                Err(Failure::No)
            }
        }
    }

    fn published(&self) -> Result<Published, Failure> {
        #[derive(Deserialize)]
        struct Metadata {
            issuer: String,
        }
        let client = Client::of_nobody(&self.server)?;
        let metadata: Metadata = read(client.get("/.well-known/oauth-authorization-server")?.body)?;
        let path = if self.assertion { "/cdn-cgi/access/certs" } else { "/.well-known/jwks.json" };
        Ok(Published { issuer: metadata.issuer, keys: read(client.get(path)?.body)? })
    }

    fn check(&self, text: &str, published: &Published) -> Result<Value, Refusal> {
        let header = decode_header(text)?;
        let kid = header.kid.as_deref().unwrap_or_default();
        let key = published.keys.find(kid).ok_or(Refusal::UnknownKey)?;
        let mut validation = Validation::new(algorithm_of(key).ok_or(Refusal::UnknownKey)?);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&published.issuer]);
        validation.set_audience(&[self.audience.as_ref().unwrap_or(&published.issuer)]);
        validation.validate_nbf = true;
        validation.leeway = 0;
        let claims = decode::<Value>(text, &DecodingKey::from_jwk(key)?, &validation)?.claims;
        let typ = if self.assertion { "JWT" } else { "at+jwt" };
        if header.typ.as_deref() != Some(typ) {
            return Err(Refusal::WrongType);
        }
        self.check_demand(&claims)?;
        Ok(claims)
    }

    /// What no library knows of.
    fn check_demand(&self, claims: &Value) -> Result<(), Refusal> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        let scopes = Scopes::from_joined(text("scope")).map_err(|_| Refusal::MissingScope)?;
        if !self.scopes.iter().all(|scope| scopes.cover(scope)) {
            return Err(Refusal::MissingScope);
        }
        let Some(account) = self.account.map(|account| account.to_string()) else { return Ok(()) };
        let above = claims.get("accounts_above").and_then(Value::as_array).into_iter().flatten();
        let mut accounts = above.filter_map(Value::as_str).chain([text("account")]);
        if accounts.any(|known| known == account) { Ok(()) } else { Err(Refusal::WrongAccount) }
    }
}

/// That of the key, never what the token says (RFC 8725, 3.1).
fn algorithm_of(key: &Jwk) -> Option<Algorithm> {
    key.common.key_algorithm?.to_string().parse().ok()
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl Refusal {
    fn reason(&self, issuer: &str) -> String {
        match self {
            Self::UnknownKey => "it is signed by no key that is published there".to_owned(),
            Self::WrongType => "it is of another type; see --assertion".to_owned(),
            Self::MissingScope => "a scope is missing".to_owned(),
            Self::WrongAccount => "it is of another account".to_owned(),
            Self::Library(error) => match error.kind() {
                ErrorKind::InvalidSignature => "the signature is not good".to_owned(),
                ErrorKind::ExpiredSignature => "it has expired".to_owned(),
                ErrorKind::ImmatureSignature => "it is not good yet".to_owned(),
                ErrorKind::InvalidIssuer => format!("it is of another issuer than {issuer}"),
                ErrorKind::InvalidAudience => "it is for another audience; see --audience".to_owned(),
                ErrorKind::InvalidAlgorithm => "it names another algorithm than its key's".to_owned(),
                _ => format!("this is no good token: {error}"),
            },
        }
    }
}
