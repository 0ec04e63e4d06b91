//! Limits as the wires state them, and what is left of them as answers say it
//! (draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` and `RateLimit`).

use std::time::Duration;

use countersign_authority::{Allowance, Exceeded};
use countersign_domain::limits::{InvalidLimits, Limits, Period, Quota, RateLimit};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::wire::abridged;

static POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// How often a token may be used. `{}`: as often as anybody likes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct LimitsBody {
    /// From moment to moment, on each node for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<RateBody>,
    /// Over a day or a month, on all nodes together.
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<QuotaBody>,
}

/// So many requests a second, and after a pause so many at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct RateBody {
    /// 1 to 100000.
    requests_per_second: u32,
    /// 1 to 1000000; those of a second when it is not stated.
    #[schema(required = false)]
    burst: u32,
}

/// So many requests in each calendar day or month, UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct QuotaBody {
    /// 1 to 1000000000000.
    requests: u64,
    /// `day` or `month`.
    period: &'static str,
}

/// What is wrong with stated limits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Where: the names on the way there, from `limits` on.
    pub(crate) path: Vec<String>,
    /// Why, to be read after the name.
    pub(crate) reason: String,
}

impl Wrong {
    fn at(path: &[&str], reason: impl ToString) -> Self {
        let path = std::iter::once("limits").chain(path.iter().copied());
        Self { path: path.map(|name| abridged(name).into_owned()).collect(), reason: reason.to_string() }
    }
}

/// Reads limits; `None` or `null` states none. What is stated replaces all that there were.
pub(crate) fn read(value: Option<&Value>) -> Result<Option<Limits>, Wrong> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    let limits = object(value, &[], &["rate", "quota"])?;
    let part = |name| limits.get(name).filter(|value| !value.is_null());
    Ok(Some(Limits {
        rate: part("rate").map(read_rate).transpose()?,
        quota: part("quota").map(read_quota).transpose()?,
    }))
}

fn read_rate(value: &Value) -> Result<RateLimit, Wrong> {
    let rate = object(value, &["rate"], &["requests_per_second", "burst"])?;
    let per_second = rate.get("requests_per_second").map_or(Some(0), whole);
    let burst = rate.get("burst").filter(|value| !value.is_null());
    // What is no number is none that is allowed, either.
    let burst = burst.map(|value| whole(value).unwrap_or(0));
    RateLimit::new(per_second.unwrap_or(0), burst).map_err(|why| match why {
        InvalidLimits::Burst => Wrong::at(&["rate", "burst"], why),
        _ => Wrong::at(&["rate", "requests_per_second"], why),
    })
}

fn read_quota(value: &Value) -> Result<Quota, Wrong> {
    let quota = object(value, &["quota"], &["requests", "period"])?;
    let period = quota.get("period").and_then(Value::as_str).unwrap_or_default();
    let period = Period::parse(period).map_err(|why| Wrong::at(&["quota", "period"], why))?;
    let requests = quota.get("requests").and_then(whole).unwrap_or(0);
    Quota::new(requests, period).map_err(|why| Wrong::at(&["quota", "requests"], why))
}

/// A name that is not known is refused: a limit that got lost on the way would let more in.
fn object<'v>(value: &'v Value, place: &[&str], names: &[&str]) -> Result<&'v Map<String, Value>, Wrong> {
    let object = value.as_object().ok_or_else(|| Wrong::at(place, "must be an object"))?;
    match object.keys().find(|key| !names.contains(&key.as_str())) {
        Some(key) => Err(Wrong::at(&[place, &[key.as_str()]].concat(), "is not known")),
        None => Ok(object),
    }
}

/// `2`, `2.0` or `"2"`: clients in typed languages send the first two, forms the last.
fn whole(value: &Value) -> Option<u64> {
    if let Some(text) = value.as_str() {
        return text.parse().ok();
    }
    value.as_u64().or_else(|| {
        let number = value.as_f64().filter(|number| number.fract() == 0.0)?;
        (0.0..=1e15).contains(&number).then_some(number as u64)
    })
}

impl RateBody {
    fn of(rate: RateLimit) -> Self {
        Self { requests_per_second: rate.per_second(), burst: rate.burst() }
    }
}

impl QuotaBody {
    fn of(quota: Quota) -> Self {
        Self { requests: quota.requests(), period: quota.per().as_str() }
    }
}

impl LimitsBody {
    /// As answers show them; `None` when there are none.
    pub(crate) fn of(limits: Limits) -> Option<Self> {
        let body = || Self { rate: limits.rate.map(RateBody::of), quota: limits.quota.map(QuotaBody::of) };
        (!limits.is_none()).then(body)
    }
}

/// What is left of the limits of a token.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LeftBody {
    /// Of the rate, on the node that answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<RateLeft>,
    /// Of the quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<QuotaLeft>,
}

/// What is left of a rate.
#[derive(Debug, Serialize, ToSchema)]
struct RateLeft {
    #[serde(flatten)]
    rate: RateBody,
    /// Requests that could follow at once.
    remaining: u32,
}

/// What is left of a quota.
#[derive(Debug, Serialize, ToSchema)]
struct QuotaLeft {
    #[serde(flatten)]
    quota: QuotaBody,
    /// Requests that are left in the day or month.
    remaining: u64,
    /// Seconds until the next.
    resets_in: u64,
}

impl LeftBody {
    /// Of a token that was let in.
    pub(crate) fn of(allowance: &Allowance) -> Self {
        let rate = |(rate, remaining)| RateLeft { rate: RateBody::of(rate), remaining };
        let quota = |left: countersign_authority::QuotaLeft| QuotaLeft {
            quota: QuotaBody::of(left.quota),
            remaining: left.remaining,
            resets_in: seconds(left.resets_in),
        };
        Self { rate: allowance.rate.map(rate), quota: allowance.quota.map(quota) }
    }
}

/// Says in headers what is left.
pub(crate) fn say_left(headers: &mut HeaderMap, allowance: &Allowance) {
    let (mut policy, mut left) = (String::with_capacity(96), String::with_capacity(64));
    if let Some((rate, remaining)) = allowance.rate {
        append(&mut policy, "\"rate\";q=", rate.per_second());
        policy.push_str(";w=1");
        if rate.burst() != rate.per_second() {
            append(&mut policy, ";countersign-burst=", rate.burst());
        }
        append(&mut left, "\"rate\";r=", remaining);
        left.push_str(";t=1");
    }
    if let Some(quota) = allowance.quota {
        if !policy.is_empty() {
            policy.push_str(", ");
            left.push_str(", ");
        }
        append(&mut policy, "\"quota\";q=", quota.quota.requests());
        append(&mut policy, ";w=", quota.window.length().as_secs());
        append(&mut left, "\"quota\";r=", quota.remaining);
        append(&mut left, ";t=", seconds(quota.resets_in));
    }
    for (name, text) in [(&POLICY, policy), (&LEFT, left)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
}

/// Without `format!`, because answers that say this are many.
fn append(text: &mut String, name: &str, number: impl itoa::Integer) {
    text.push_str(name);
    text.push_str(itoa::Buffer::new().format(number));
}

/// Says in headers that nothing is left, and when to come again.
pub(crate) fn say_exceeded(headers: &mut HeaderMap, exceeded: &Exceeded) {
    say_left(headers, &exceeded.allowance);
    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds(exceeded.retry_after).max(1)));
}

/// Whole seconds, rounded up: who waits for them does not come too early.
pub(crate) fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_are_read_and_shown_alike() {
        let stated = json!({"rate": {"requests_per_second": 10, "burst": 20}, "quota": {"requests": "1000", "period": "day"}});
        let limits = read(Some(&stated)).unwrap().unwrap();
        assert_eq!(limits.joined().as_deref(), Some("10/s;burst=20 1000/day"));
        let shown = serde_json::to_value(LimitsBody::of(limits)).unwrap();
        assert_eq!(
            shown,
            json!({"rate": {"requests_per_second": 10, "burst": 20}, "quota": {"requests": 1000, "period": "day"}})
        );
        assert_eq!(read(None), Ok(None));
        assert_eq!(read(Some(&Value::Null)), Ok(None));
        assert_eq!(read(Some(&json!({}))), Ok(Some(Limits::NONE)), "that there are none can be stated");
        assert_eq!(LimitsBody::of(Limits::NONE), None);
        let rate = read(Some(&json!({"rate": {"requests_per_second": 7}, "quota": null}))).unwrap().unwrap();
        assert_eq!(rate.joined().as_deref(), Some("7/s;burst=7"));
    }

    #[test]
    fn an_error_names_the_value() {
        for (stated, path) in [
            (json!(5), "limits"),
            (json!([]), "limits"),
            (json!({"rates": {}}), "limits.rates"),
            (json!({"rate": 5}), "limits.rate"),
            (json!({"rate": {}}), "limits.rate.requests_per_second"),
            (json!({"rate": {"requests_per_second": "5/s"}}), "limits.rate.requests_per_second"),
            (json!({"rate": {"requests_per_second": 0}}), "limits.rate.requests_per_second"),
            (json!({"rate": {"requests_per_second": 1.5}}), "limits.rate.requests_per_second"),
            (json!({"rate": {"requests_per_second": 5, "burst": -1}}), "limits.rate.burst"),
            (json!({"rate": {"requests_per_second": 5, "brust": 1}}), "limits.rate.brust"),
            (json!({"quota": {"requests": 5}}), "limits.quota.period"),
            (json!({"quota": {"requests": 5, "period": "week"}}), "limits.quota.period"),
            (json!({"quota": {"requests": 1e13, "period": "day"}}), "limits.quota.requests"),
            (json!({"quota": {"period": "day"}}), "limits.quota.requests"),
        ] {
            let wrong = read(Some(&stated)).unwrap_err();
            assert_eq!(wrong.path.join("."), path, "{stated}: {}", wrong.reason);
        }
    }
}
