//! Numbers as JavaScript's clients send them.

use serde_json::Value;

/// A whole number, or a text that is one; beyond 64 bits the nearest. `None` for everything else: fractions, NaN,
/// empty texts, booleans, lists.
pub(super) fn whole(value: &Value) -> Option<i64> {
    let number: f64 = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    (number.is_finite() && number.fract() == 0.0).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_and_texts_of_numbers() {
        for (value, number) in [
            (json!(60), 60),
            (json!(60.0), 60),
            (json!("60"), 60),
            (json!(" 6e1 "), 60),
            (json!("-1"), -1),
            (json!(1e300), i64::MAX),
        ] {
            assert_eq!(whole(&value), Some(number), "{value}");
        }
        for other in
            [json!(1.5), json!(""), json!("abc"), json!("NaN"), json!("inf"), json!("1e400"), json!("0x10")]
        {
            assert_eq!(whole(&other), None, "{other}");
        }
        for other in [json!(null), json!(true), json!([60]), json!({})] {
            assert_eq!(whole(&other), None, "{other}");
        }
    }
}
