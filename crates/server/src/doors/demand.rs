//! What the operator demands, from the query of the proxy's request or from a header.

use countersign_domain::demand::Demand;
use countersign_domain::fact::Kind;
use countersign_domain::scope::Scope;

use super::applications::Applications;
use super::signals::Signals;

/// A demand that is not understood: an unknown name, an empty or impossible value, none where one is required. A
/// typo in a proxy's configuration must not open a door.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadDemand;

/// Says "nothing is demanded" where silence could be an accident.
const ANY: &[u8] = b"any";

/// What the operator demands in the proxy's own request; headers may add to it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Own<'r> {
    /// A query; without one nothing is demanded (`/authz`).
    Query(&'r [u8]),
    /// A text like that in a header: when nothing is demanded it has to say so (Envoy's `context_extensions`).
    Text(&'r [u8]),
    /// Exactly one header has to say it, because the query is the client's (`/authz/{*path}`).
    InHeader,
}

/// All demands of a request to a door, and of the application to which it asserts.
pub(super) fn read(
    own: Own<'_>,
    signals: &Signals<'_>,
    applications: &Applications,
) -> Result<Wanted, BadDemand> {
    let mut demand = DemandBuilder::default();
    match own {
        Own::Query(query) => demand.add_query(query)?,
        Own::Text(text) => demand.add_text(text)?,
        Own::InHeader if signals.demands.len() == 1 => {}
        Own::InHeader => return Err(BadDemand),
    }
    let has_asked = demand.0.assertion.is_some();
    for header in &signals.demands {
        demand.add_text(header)?;
    }
    // A header beside the operator's own words may be a client's, which only narrows.
    if !matches!(own, Own::InHeader) && !has_asked && demand.0.assertion.is_some() {
        return Err(BadDemand);
    }
    demand.wanted(applications)
}

/// The demand in a query that the operator wrote, for a door that lets nobody through to a service.
pub(crate) fn of_query(query: &[u8]) -> Result<Demand, BadDemand> {
    let mut demand = DemandBuilder::default();
    demand.add_query(query)?;
    demand.build()
}

/// What the operator wants of a door.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Of whoever is let in.
    pub(super) demand: Demand,
    /// To which application, by its audience, the door asserts who that was.
    pub(super) assertion: Option<Box<str>>,
}

/// Gathers the parts of a demand.
#[derive(Debug, Default)]
pub(crate) struct DemandBuilder(Wanted);

impl DemandBuilder {
    /// What one says, beside what others do.
    fn add_query(&mut self, query: &[u8]) -> Result<(), BadDemand> {
        let mut said = Self::default();
        form_urlencoded::parse(query).try_for_each(|(name, value)| said.add(&name, &value))?;
        let Wanted { demand, assertion } = said.0;
        self.0.demand.add(demand);
        match assertion {
            Some(_) if self.0.assertion.is_some() => Err(BadDemand),
            Some(_) => {
                self.0.assertion = assertion;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What does not say anything is no demand, but a mistake.
    fn add_text(&mut self, text: &[u8]) -> Result<(), BadDemand> {
        match text {
            ANY => Ok(()),
            text if form_urlencoded::parse(text).next().is_none() => Err(BadDemand),
            query => self.add_query(query),
        }
    }

    /// One part: `scope` (`a|b` = either), `organization`, `account`, `kind`, `audience`, `assertion`.
    pub(crate) fn add(&mut self, name: &str, value: &str) -> Result<(), BadDemand> {
        if value.is_empty() {
            return Err(BadDemand);
        }
        match name {
            "scope" => {
                let either = value.split('|').map(Scope::parse).collect::<Result<Vec<_>, _>>();
                self.0.demand.scopes.push(either.map_err(|_| BadDemand)?);
            }
            "organization" => self.0.demand.organizations.push(value.parse().map_err(|_| BadDemand)?),
            "account" => self.0.demand.accounts.push(value.parse().map_err(|_| BadDemand)?),
            "kind" => {
                let kind = [Kind::Service, Kind::Access].into_iter().find(|kind| kind.as_str() == value);
                self.0.demand.kinds.push(kind.ok_or(BadDemand)?);
            }
            "audience" => self.0.demand.audiences.push(value.into()),
            // One service is behind a door, and it has one name.
            "assertion" if self.0.assertion.is_none() => self.0.assertion = Some(value.into()),
            _ => return Err(BadDemand),
        }
        Ok(())
    }

    fn wanted(self, applications: &Applications) -> Result<Wanted, BadDemand> {
        let Self(mut wanted) = self;
        if let Some(audience) = &wanted.assertion {
            wanted.demand.add(applications.demand_of(audience).ok_or(BadDemand)?.clone());
        }
        Ok(wanted)
    }

    pub(crate) fn build(self) -> Result<Demand, BadDemand> {
        if self.0.assertion.is_none() { Ok(self.0.demand) } else { Err(BadDemand) }
    }
}
