//! A service token as the API gives it and as people see it.

use countersign_domain::time::Timestamp;
use serde::Deserialize;

use crate::commands::restrictions::Restrictions;
use crate::table;
use crate::when::When;

/// A service token. Has no secret in it.
#[derive(Deserialize)]
pub(super) struct Token {
    pub(super) id: String,
    pub(super) name: String,
    client_id: String,
    duration: String,
    enabled: bool,
    pub(super) created_at: When,
    updated_at: When,
    pub(super) expires_at: When,
    pub(super) last_seen_at: Option<When>,
    client_secret_version: u64,
    #[serde(flatten)]
    restrictions: Restrictions,
    #[serde(default)]
    secrets: Vec<SecretUse>,
}

/// One of its secrets, and when it was last used.
#[derive(Deserialize)]
struct SecretUse {
    version: u64,
    created_at: When,
    expires_at: Option<When>,
    last_seen_at: Option<When>,
}

impl Token {
    /// Whether a door would take it, leaving scopes aside.
    fn status(&self, now: Timestamp) -> &'static str {
        match () {
            () if !self.enabled => "disabled",
            () if self.expires_at.0 <= now => "expired",
            () => "enabled",
        }
    }

    fn lives_for_ever(&self) -> bool {
        self.duration == "forever"
    }

    fn days_left(&self, now: Timestamp) -> String {
        if self.lives_for_ever() { "never ends".to_owned() } else { self.expires_at.days_left(now) }
    }

    /// Whether it ends between now and `until`.
    pub(super) fn expires_by(&self, now: Timestamp, until: Timestamp) -> bool {
        now < self.expires_at.0 && self.expires_at.0 <= until
    }

    /// Whether it was there at `since` and has not been used from then on.
    pub(super) fn idle_since(&self, since: Timestamp) -> bool {
        self.last_seen_at.unwrap_or(self.created_at).0 <= since
    }
}

/// A line for each token.
pub(super) fn lines(tokens: &[Token], now: Timestamp) -> String {
    let heads = ["ID", "NAME", "STATUS", "DAYS LEFT", "LAST SEEN", "SECRET"];
    let line = |token: &Token| {
        [
            token.id.clone(),
            token.name.clone(),
            token.status(now).to_owned(),
            token.days_left(now),
            seen(token.last_seen_at, now),
            format!("v{}", token.client_secret_version),
        ]
    };
    table::columns(heads, tokens.iter().map(line))
}

/// Everything about one token; when it is known, the last use of each secret.
pub(super) fn overview(token: &Token, now: Timestamp) -> String {
    let expires = match token.lives_for_ever() {
        true => "never".to_owned(),
        false => token.expires_at.with_distance(now),
    };
    let [scopes, organizations, resources, allowed_ips, limits] = token.restrictions.facts();
    let facts = table::facts([
        ("id", Some(token.id.clone())),
        ("name", Some(token.name.clone())),
        ("client id", Some(token.client_id.clone())),
        ("status", Some(token.status(now).to_owned())),
        ("duration", Some(token.duration.clone())),
        ("expires", Some(expires)),
        scopes,
        resources,
        organizations,
        allowed_ips,
        limits,
        ("created", Some(token.created_at.with_distance(now))),
        ("updated", Some(token.updated_at.with_distance(now))),
        ("last seen", Some(seen(token.last_seen_at, now))),
        ("secret", Some(format!("v{}", token.client_secret_version))),
    ]);
    if token.secrets.is_empty() {
        return facts;
    }
    let heads = ["SECRET", "STATE", "CREATED", "LAST SEEN"];
    let line = |secret: &SecretUse| {
        [
            format!("v{}", secret.version),
            state_of(secret, token.client_secret_version, now),
            secret.created_at.to_string(),
            seen(secret.last_seen_at, now),
        ]
    };
    format!("{facts}\n{}", table::columns(heads, token.secrets.iter().map(line)))
}

fn state_of(secret: &SecretUse, current: u64, now: Timestamp) -> String {
    match secret.expires_at {
        _ if secret.version == current => "current".to_owned(),
        Some(end) if end.0 <= now => format!("ended {end}"),
        Some(end) => format!("valid until {end}"),
        None => "previous".to_owned(),
    }
}

fn seen(last: Option<When>, now: Timestamp) -> String {
    last.map_or_else(|| "never".to_owned(), |last| last.ago(now))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::when::parse_rfc3339;

    fn at(text: &str) -> Timestamp {
        parse_rfc3339(text).unwrap_or(Timestamp::NEVER)
    }

    fn token(changes: Value) -> Token {
        let mut token = json!({
            "id": "f174e90a-fafe-4643-bbbc-4a0ed4fc8415", "name": "ci", "client_id": "88bf.access",
            "duration": "8760h", "enabled": true, "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-11-20T00:00:00Z", "expires_at": "2026-12-05T12:00:00Z", "last_seen_at": null,
            "client_secret_version": 2, "previous_client_secret_expires_at": null, "unknown": [1],
        });
        if let (Some(token), Value::Object(changes)) = (token.as_object_mut(), changes) {
            token.extend(changes);
        }
        serde_json::from_value(token).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_list_reads_at_a_glance() {
        let now = at("2026-11-21T12:00:00Z");
        let tokens = [
            token(json!({"last_seen_at": "2026-11-21T11:56:59.123Z"})),
            token(json!({"name": "old", "expires_at": "2026-11-20T00:00:00Z"})),
            token(json!({"name": "off", "enabled": false, "duration": "forever"})),
        ];
        let expected = "\
ID                                    NAME  STATUS    DAYS LEFT   LAST SEEN  SECRET
f174e90a-fafe-4643-bbbc-4a0ed4fc8415  ci    enabled   14          3 min ago  v2
f174e90a-fafe-4643-bbbc-4a0ed4fc8415  old   expired   0           never      v2
f174e90a-fafe-4643-bbbc-4a0ed4fc8415  off   disabled  never ends  never      v2
";
        assert_eq!(lines(&tokens, now), expected);
    }

    #[test]
    fn an_overview_shows_who_still_uses_the_previous_secret() {
        let token = token(
            json!({"scopes": ["deploy:*", "read"], "resources": ["GET /a/*", "/b"], "secrets": [
                {"version": 2, "created_at": "2026-11-20T00:00:00Z", "expires_at": null, "last_seen_at": null},
                {"version": 1, "created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-11-22T00:00:00Z",
                 "last_seen_at": "2026-11-21T10:00:00Z"},
            ]}),
        );
        let expected = "\
id         f174e90a-fafe-4643-bbbc-4a0ed4fc8415
name       ci
client id  88bf.access
status     enabled
duration   8760h
expires    2026-12-05 12:00 UTC (in 14 days)
scopes     deploy:* read
resources  GET /a/*, /b
created    2026-01-01 00:00 UTC (324 days ago)
updated    2026-11-20 00:00 UTC (1 day ago)
last seen  never
secret     v2

SECRET  STATE                             CREATED               LAST SEEN
v2      current                           2026-11-20 00:00 UTC  never
v1      valid until 2026-11-22 00:00 UTC  2026-01-01 00:00 UTC  2 h ago
";
        assert_eq!(overview(&token, at("2026-11-21T12:00:00Z")), expected);
        assert!(overview(&token, at("2026-11-23T12:00:00Z")).contains("v1      ended 2026-11-22 00:00 UTC "));
    }

    #[test]
    fn what_is_about_to_end_and_what_nobody_uses() {
        let now = at("2026-11-21T12:00:00Z");
        let expiring = token(json!({}));
        assert!(expiring.expires_by(now, at("2026-12-05T12:00:00Z")));
        assert!(!expiring.expires_by(now, at("2026-12-05T11:59:59Z")));
        assert!(!expiring.expires_by(at("2026-12-05T12:00:00Z"), Timestamp::NEVER), "it has ended already");

        let since = at("2026-11-01T00:00:00Z");
        assert!(token(json!({})).idle_since(since), "never used");
        assert!(token(json!({"last_seen_at": "2026-10-31T00:00:00Z"})).idle_since(since));
        assert!(!token(json!({"last_seen_at": "2026-11-02T00:00:00Z"})).idle_since(since));
        assert!(!token(json!({"created_at": "2026-11-02T00:00:00Z"})).idle_since(since), "too young to tell");
    }
}
