//! What a failure of the Cloudflare wire looks like.

use serde_json::{Value, json};

use crate::harness::Answer;

/// Asserts the envelope of a failure; gives its first error.
#[track_caller]
pub(crate) fn failed(answer: &Answer, status: u16) -> Value {
    let json = answer.json();
    assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(
        (&json["success"], &json["result"], &json["messages"]),
        (&json!(false), &Value::Null, &json!([]))
    );
    json["errors"][0].clone()
}

/// Status, code and pointer of a failure.
#[track_caller]
pub(crate) fn refusal(answer: &Answer) -> (u16, u64, String) {
    let status = answer.status.as_u16();
    let error = failed(answer, status);
    let pointer = error["source"]["pointer"].as_str().unwrap_or_default().to_owned();
    (status, error["code"].as_u64().unwrap_or(0), pointer)
}
