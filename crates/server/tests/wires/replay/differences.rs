//! Where we answer otherwise than LoopBack did, and why. "B9" is a number of section 5 of
//! `space-invoices-loopback.md`; "6.1" a decision of its section 6; "design 2.3" is where that was decided.

use serde_json::Value;

/// Cases that are answered otherwise than was recorded.
pub(super) struct Difference {
    pub(super) ids: &'static [&'static str],
    pub(super) status: u16,
    /// With the placeholders of the recording. Empty: there is none.
    body: &'static str,
    pub(super) reason: &'static str,
}

impl Difference {
    /// `None`: there is none.
    pub(super) fn body(&self) -> Option<Value> {
        let parsed =
            |_| serde_json::from_str(self.body).unwrap_or_else(|why| panic!("{:?}: {why}", self.ids));
        Some(()).filter(|()| !self.body.is_empty()).map(parsed)
    }
}

const fn other(
    ids: &'static [&'static str],
    status: u16,
    body: &'static str,
    reason: &'static str,
) -> Difference {
    Difference { ids, status, body, reason }
}

/// The one answer to every denial.
const DENIED: &str = r#"{"error":{"statusCode":401,"name":"Error","message":"Authorization Required","code":"AUTHORIZATION_REQUIRED"}}"#;
/// A token that has expired.
const EXPIRED: &str =
    r#"{"error":{"statusCode":401,"name":"Error","message":"Invalid Access Token","code":"INVALID_TOKEN"}}"#;
/// A new token of two weeks.
const MADE: &str = r#"{"id":"{newToken}","ttl":1209600,"created":"{date}","userId":"{accountA}"}"#;
/// A new token of a minute.
const MADE_60: &str = r#"{"id":"{newToken}","ttl":60,"created":"{date}","userId":"{accountA}"}"#;
/// Both tokens of D.
const BOTH_OF_D: &str = r#"[{"id":"{tokenD}","ttl":1209600,"created":"{date}","userId":"{accountD}"},{"id":"{tokenOfD}","ttl":1209600,"created":"{date}","userId":"{accountD}"}]"#;
/// All tokens of C.
const ALL_OF_C: &str = r#"[{"id":"{tokenC}","ttl":1209600,"created":"{date}","userId":"{accountC}"},{"id":"{newToken}","ttl":60,"scopes":["read"],"created":"{date}","userId":"{accountC}"},{"id":"{newToken}","ttl":120,"scopes":["read","write"],"created":"{date}","userId":"{accountC}"},{"id":"{newToken}","ttl":-1,"created":"{date}","userId":"{accountC}"},{"id":"{tokenOfC}","ttl":1209600,"created":"{date}","userId":"{accountC}"}]"#;
/// No such ttl.
const BAD_TTL: &str = r#"{"error":{"statusCode":422,"name":"ValidationError","message":"The `AccessToken` instance is not valid. Details: `ttl` must be a whole number of seconds, or -1 for ever.","details":{"context":"AccessToken","codes":{"ttl":["custom"]},"messages":{"ttl":["must be a whole number of seconds, or -1 for ever"]}}}}"#;
/// No such scope.
const BAD_SCOPE: &str = r#"{"error":{"statusCode":422,"name":"ValidationError","message":"The `AccessToken` instance is not valid. Details: `scopes` must be a text.","details":{"context":"AccessToken","codes":{"scopes":["custom"]},"messages":{"scopes":["must be a text"]}}}}"#;
/// A body that is no object.
const NO_OBJECT: &str = r#"{"error":{"statusCode":400,"name":"Error","message":"Value is not an object."}}"#;

/// A message with a value in it.
const NO_VALUES: &str = "messages repeat no value, since a password could be one (design 5, invariant 1); the codes and the \
    messages of the properties are LoopBack's";
/// A ttl.
const ONLY_A_TTL: &str = "B1: only what is a ttl is stored, so that every stored token can be judged";
/// A request for something else than JSON.
const ALWAYS_JSON: &str = "B7: always JSON, and no effect followed by an error";
/// A method of the relation that is not documented.
const NOT_DOCUMENTED: &str =
    "6.1: what the vendor does not document is not there, as a method that is switched off";
/// A read-only property.
const READ_ONLY: &str = "B4: `id` and `created` are ours to say, and ignored";

/// Every case that is answered otherwise, once.
pub(super) const DIFFERENCES: &[Difference] = &[
    // Accounts and logging in.
    other(
        &["A02"],
        422,
        r#"{"error":{"statusCode":422,"name":"ValidationError","message":"The `Account` instance is not valid. Details: `email` Email already exists.","details":{"context":"Account","codes":{"email":["uniqueness"]},"messages":{"email":["Email already exists"]}}}}"#,
        NO_VALUES,
    ),
    other(
        &["A03"],
        422,
        r#"{"error":{"statusCode":422,"name":"ValidationError","message":"The `Account` instance is not valid. Details: `email` is invalid.","details":{"context":"Account","codes":{"email":["custom.email"]},"messages":{"email":["is invalid"]}}}}"#,
        NO_VALUES,
    ),
    other(
        &["A05"],
        422,
        r#"{"error":{"statusCode":422,"name":"ValidationError","message":"The `Account` instance is not valid. Details: `password` can't be blank; `email` can't be blank.","details":{"context":"Account","codes":{"password":["presence"],"email":["presence"]},"messages":{"password":["can't be blank"],"email":["can't be blank"]}}}}"#,
        NO_VALUES,
    ),
    other(
        &["A26"],
        200,
        r#"{"id":"{otherId}","email":"y-{mark}@example.com"}"#,
        "free: 72 characters are a bound of bcrypt, which does not hash here",
    ),
    other(
        &["A27"],
        200,
        r#"{"id":"{otherId}","email":"z-{mark}@example.com"}"#,
        "B4, design 2.3: ids of accounts are 32 hex digits, and never chosen by clients",
    ),
    other(&["A11"], 422, BAD_TTL, ONLY_A_TTL),
    // Create.
    other(&["B05", "B10", "B12", "B13", "B14", "B15"], 422, BAD_TTL, ONLY_A_TTL),
    other(&["B06"], 200, MADE, "B1: 0 is the default, as in logging in; the .NET client sends it"),
    other(&["B20", "B21"], 422, BAD_SCOPE, "B2: a scope is a text"),
    other(
        &["B25"],
        200,
        r#"{"id":"{newToken}","name":"ci","ttl":1209600,"created":"{date}","userId":"{accountA}"}"#,
        "B3: an unknown property is neither kept nor echoed; `name` is one that tokens have here",
    ),
    other(&["B26", "B27", "B28", "B30", "B32", "B33", "B34"], 200, MADE, READ_ONLY),
    other(&["B40", "B41"], 400, NO_OBJECT, "B3: one request makes one token"),
    other(
        &["B43"],
        415,
        r#"{"error":{"statusCode":415,"name":"UnsupportedMediaTypeError","message":"the body must be application/json or application/x-www-form-urlencoded"}}"#,
        "B5: a body that is not read is refused, not ignored",
    ),
    other(&["B44"], 200, MADE_60, "B5: a body without a type is read as JSON"),
    other(&["B49"], 200, MADE_60, "B6: `__proto__` is an unknown property as any other"),
    other(&["B57"], 200, MADE_60, ALWAYS_JSON),
    other(
        &["B59"],
        200,
        r#"{"id":"{newToken}","name":"ghost","ttl":60,"created":"{date}","userId":"{accountA}"}"#,
        ALWAYS_JSON,
    ),
    other(
        &["B61"],
        400,
        r#"{"error":{"statusCode":400,"name":"Error","message":"`ttl` is given twice"}}"#,
        "free: of two values, parsers pick different ones, so neither is taken",
    ),
    // List.
    other(
        &["C19"],
        200,
        r#"[{"ttl":-1},{"ttl":60},{"ttl":120},{"ttl":1209600}]"#,
        "the vendor's documentation (S12) orders so",
    ),
    other(
        &["C45"],
        400,
        r#"{"error":{"statusCode":400,"name":"Error","message":"The id property has invalid clause {\"regexp\":\"(\"}: The regular expression cannot be read; look-around and back-references are not supported"}}"#,
        "B12: what is malformed is refused",
    ),
    other(
        &["C47"],
        400,
        r#"{"error":{"statusCode":400,"name":"Error","message":"The created property has invalid clause {\"gt\":\"nope\"}: Expected a date"}}"#,
        "B6: what is no time is refused, never a fault of ours",
    ),
    other(
        &["C65"],
        200,
        r#"[{"id":"{newToken}","ttl":-1,"created":"{date}","userId":"{accountC}"}]"#,
        "B13: no script for a callback",
    ),
    other(&["C74"], 200, ALL_OF_C, "free: a filter stands in the query; the body of a GET says nothing"),
    other(&["C68"], 200, ALL_OF_C, "B13: no entity tags of secrets, so always the whole answer"),
    // Using a token.
    other(&["F12"], 401, DENIED, "B15: two different credentials are refused"),
    other(&["F25", "F43"], 200, MADE, "B16: logging in looks at no credential"),
    other(&["F26"], 200, "[]", "B16: an expired token is not listed"),
    other(&["F28", "F33"], 401, DENIED, "B1: there is no such token, since its ttl was refused"),
    other(&["F32"], 401, EXPIRED, "B4: `created` is ours to say, so that it has expired"),
    other(
        &["F37"],
        401,
        DENIED,
        "the recorder's own method is none here: `report` is taken for the id of an account. Scopes of an application \
         are demanded at a door (design 2.4)",
    ),
    other(
        &["F41"],
        200,
        r#"{"ok":true}"#,
        "`authorized`, which stands for the recorder's method, tells a bearer about itself and needs no scope",
    ),
    other(&["F44"], 204, "", "B16: whoever has a token may end it"),
    other(&["F50"], 200, r#"{"ok":true}"#, ALWAYS_JSON),
    // What is not documented, and delete.
    other(
        &["D01"],
        404,
        r#"{"error":{"statusCode":404,"name":"Error","message":"There is no method to handle GET /Accounts/{accountA}/accessTokens/{tokenS}"}}"#,
        NOT_DOCUMENTED,
    ),
    other(
        &["D02"],
        404,
        r#"{"error":{"statusCode":404,"name":"Error","message":"There is no method to handle GET /Accounts/{accountA}/accessTokens/missing"}}"#,
        NOT_DOCUMENTED,
    ),
    other(
        &["D03"],
        404,
        r#"{"error":{"statusCode":404,"name":"Error","message":"There is no method to handle GET /Accounts/{accountA}/accessTokens/{tokenB}"}}"#,
        NOT_DOCUMENTED,
    ),
    other(
        &["D06"],
        404,
        r#"{"error":{"statusCode":404,"name":"Error","message":"There is no method to handle PUT /Accounts/{accountA}/accessTokens/{tokenS}"}}"#,
        NOT_DOCUMENTED,
    ),
    other(&["D10"], 404, "", NOT_DOCUMENTED),
    other(&["E01", "E07"], 200, "{}", "design 2.3: as the vendor documents it"),
    other(
        &["E16"],
        404,
        r#"{"error":{"statusCode":404,"name":"Error","message":"No instance with id xxxxxxxx… found for AccessToken"}}"#,
        "B9: of what is too long for a handle only the beginning is repeated",
    ),
    other(
        &["E17"],
        404,
        r#"{"error":{"statusCode":404,"name":"Error","message":"No instance with id {\"neq\":\"\"} found for AccessToken"}}"#,
        "B14: the key is a text, not an operator",
    ),
    other(&["E18", "E20"], 200, BOTH_OF_D, "B14: E17 has ended nothing"),
    other(
        &["E19"],
        404,
        r#"{"error":{"statusCode":404,"name":"Error","message":"There is no method to handle DELETE /Accounts/{accountD}/accessTokens"}}"#,
        NOT_DOCUMENTED,
    ),
    // Routes.
    other(
        &["G10"],
        404,
        r#"{"error":{"statusCode":404,"name":"Error","message":"There is no method to handle GET //Accounts/authorized"}}"#,
        "free: no path of ours has an empty part",
    ),
    // The end of a process.
    other(
        &["X01"],
        400,
        r#"{"error":{"statusCode":400,"name":"Error","message":"The body is nested deeper than 32 levels"}}"#,
        "B6: the bound is 32 with the object itself (design 5, invariant 9)",
    ),
    other(&["X03"], 401, DENIED, "B6: one request costs no other; LoopBack's process had ended"),
];
