//! What the OpenAPI documents describe: an operation that is added is tried as well, or fails the test.

use serde_json::{Value, json};

use crate::journal::Journal;

/// Fewer operations than there are in the documents.
const FEWEST_OPERATIONS: usize = 50;

/// An operation of a document.
pub(crate) struct Operation<'d> {
    pub(crate) method: String,
    /// With the prefix of its wire.
    pub(crate) path: String,
    document: &'d Value,
    description: &'d Value,
}

/// The document of every wire, which `read` gets from where it is.
pub(crate) fn documents(mut read: impl FnMut(&str) -> Value) -> Vec<Value> {
    ["cloudflare", "loopback", "native", "oauth"].map(|wire| read(&format!("/openapi/{wire}.json"))).into()
}

/// All that they describe.
pub(crate) fn operations(documents: &[Value]) -> Vec<Operation<'_>> {
    let mut all = Vec::new();
    for document in documents {
        let prefix = document["servers"][0]["url"].as_str().unwrap_or_default();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, description) in item.as_object().expect("operations") {
                let (method, path) = (method.to_uppercase(), format!("{prefix}{path}"));
                all.push(Operation { method, path, document, description });
            }
        }
    }
    assert!(all.len() >= FEWEST_OPERATIONS, "only {} operations", all.len());
    all
}

/// Whatever the documents describe, with the secret as each parameter and as each property. Each is tried by an account
/// of its own, since some of them end an account or the token in use.
pub(crate) fn try_documented_operations(journal: &mut Journal, secret: &str) {
    let documents = documents(|path| journal.ask_as_root("GET", path, "").json());
    for operation in operations(&documents) {
        let (account, token) = journal.make_somebody();
        let method = &*operation.method;
        for first in [&account, secret] {
            let target = with_parameters(&operation.path, first, secret);
            for parameter in query_parameters(operation.description) {
                journal.ask_as(&token, method, &format!("{target}?{parameter}={secret}"), "");
            }
            for body in bodies(operation.document, operation.description, secret) {
                journal.ask_as(&token, method, &target, &body.to_string());
            }
            journal.ask_as(&token, method, &target, "");
        }
    }
}

/// Fails when an operation that can succeed did not, so that secrets which only it shows were never looked for.
pub(crate) fn every_operation_was_done(journal: &mut Journal) {
    let documents = documents(|path| journal.ask_as_root("GET", path, "").json());
    let operations = operations(&documents);
    let missing = without(&operations, journal.done().map(|(method, path)| (&**method, &**path)));
    assert!(missing.is_empty(), "never done: {missing:?}");
}

/// Of these operations, those that can succeed and that no request is one of.
pub(crate) fn without<'r>(
    operations: &[Operation<'_>],
    requests: impl IntoIterator<Item = (&'r str, &'r str)>,
) -> Vec<String> {
    let mut missing: Vec<&Operation<'_>> = operations.iter().filter(|one| one.can_succeed()).collect();
    for (method, path) in requests {
        let matching = operations.iter().filter(|one| one.method == method && one.fits(path));
        if let Some(found) = matching.min_by_key(|one| one.path.matches('{').count()) {
            missing.retain(|one| !std::ptr::eq(*one, found));
        }
    }
    missing.iter().map(|one| format!("{} {}", one.method, one.path)).collect()
}

impl Operation<'_> {
    /// Some only say that they are not there yet.
    fn can_succeed(&self) -> bool {
        let responses = self.description["responses"].as_object().expect("responses");
        responses.keys().any(|status| status.starts_with('2'))
    }

    fn fits(&self, path: &str) -> bool {
        let (wanted, found): (Vec<_>, Vec<_>) = (self.path.split('/').collect(), path.split('/').collect());
        let same = |(wanted, found): (&&str, &&str)| wanted.starts_with('{') || wanted == found;
        wanted.len() == found.len() && wanted.iter().zip(&found).all(same)
    }
}

/// The first parameter of a path is the account, or else it is the secret, too.
fn with_parameters(path: &str, first: &str, secret: &str) -> String {
    let mut values = [first].into_iter();
    let part = |part: &str| match part.starts_with('{') {
        true => values.next().unwrap_or(secret).to_owned(),
        false => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

fn query_parameters(operation: &Value) -> impl Iterator<Item = &str> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    parameters
        .filter(|parameter| parameter["in"] == "query")
        .filter_map(|parameter| parameter["name"].as_str())
}

/// Bodies that have the secret in one property, in every form that a value can have.
fn bodies(document: &Value, operation: &Value, secret: &str) -> Vec<Value> {
    let request = operation["requestBody"].to_string();
    let schemas = document["components"]["schemas"].as_object().into_iter().flatten();
    let inputs = schemas.filter(|(name, _)| request.contains(&format!("/{name}\"")));
    let properties =
        inputs.filter_map(|(_, schema)| schema["properties"].as_object()).flat_map(|all| all.keys());
    let mut bodies = Vec::new();
    for property in properties {
        bodies.push(json!({ property: { secret: secret } }));
        // Whoever calls a token by a secret, or a scope, has published it.
        if property != "name" {
            bodies.push(json!({ property: secret }));
        }
        if property != "scopes" {
            bodies.push(json!({ property: [secret] }));
        }
    }
    bodies
}
