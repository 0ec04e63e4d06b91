//! Services that are told by the doors who was let in, as Cloudflare Access tells its applications (cloudflare-access.md 5.3).

use std::collections::BTreeMap;

use countersign_authority::is_resource;
use countersign_domain::demand::Demand;

use super::demand;

/// Longest name of an application.
const LONGEST_NAME: usize = 256;

/// The applications of a deployment, by their audience.
///
/// A service that checks nothing but the signature of an assertion lets in whoever has one, and whoever reaches a door can
/// ask for one. So what a service demands is said here: the query of a door can only add to it.
#[derive(Debug, Clone, Default)]
pub struct Applications(BTreeMap<Box<str>, Application>);

#[derive(Debug, Clone)]
struct Application {
    /// As the operator has written it.
    text: Box<str>,
    demand: Demand,
}

impl Applications {
    /// Reads `<audience>?<demand>`, where the demand is one as in the query of a door, and not empty. An error says which one is
    /// wrong, and why.
    pub fn parse<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, String> {
        let mut applications = BTreeMap::new();
        for text in texts {
            let (audience, demand) = text.split_once('?').unwrap_or((text, ""));
            if !is_name(audience) {
                return Err(format!(
                    "`{text}` must begin with an audience of 1 to {LONGEST_NAME} printable characters that is no URI"
                ));
            }
            if demand.is_empty() {
                return Err(format!("`{text}` must say what the application demands: `{audience}?scope=…`"));
            }
            let demand = demand::of_query(demand.as_bytes())
                .map_err(|demand::BadDemand| format!("`{text}`: the demand is not understood"))?;
            if demand == Demand::default() {
                return Err(format!("`{text}` demands nothing"));
            }
            let application = Application { text: text.into(), demand };
            if applications.insert(audience.into(), application).is_some() {
                return Err(format!("`{audience}` is there twice"));
            }
        }
        Ok(Self(applications))
    }

    /// As they were written, in the order of their audiences.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|application| &*application.text)
    }

    /// What an application demands; `None` when there is none for this audience.
    pub(super) fn demand_of(&self, audience: &str) -> Option<&Demand> {
        self.0.get(audience).map(|application| &application.demand)
    }
}

/// A URI is the audience of access tokens, which any client may get for it; applications of Cloudflare do not look at `typ`, so one
/// must not pass for the other.
fn is_name(text: &str) -> bool {
    let is_printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    (1..=LONGEST_NAME).contains(&text.len()) && is_printable && !is_resource(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_has_a_name_of_its_own_and_demands_something() {
        let kept =
            Applications::parse(["4714c1358e65?scope=app:use&kind=service", "other?scope=a|b"]).unwrap();
        assert_eq!(kept.texts().count(), 2);
        assert!(kept.demand_of("4714c1358e65").is_some_and(|demand| demand.kinds.len() == 1));
        assert!(kept.demand_of("4714c1358e6").is_none());
        let wrong = [
            "",
            "other",
            "other?",
            "other?&",
            "?scope=a",
            "ot her?scope=a",
            "other?scopes=a",
            "other?scope=a&assertion=b",
            // Any client may ask for tokens for these.
            "https://app.example.com?scope=a",
            "urn:app?scope=a",
        ];
        for text in wrong {
            assert!(Applications::parse([text]).is_err(), "{text}");
        }
        assert!(Applications::parse(["other?scope=a", "other?scope=b"]).is_err());
    }
}
