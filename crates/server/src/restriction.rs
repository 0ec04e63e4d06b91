//! Lists that restrict a token, as both wires state them.

use countersign_domain::id::OrganizationId;
use countersign_domain::network::{InvalidNetwork, Networks};
use countersign_domain::organization::{InvalidOrganization, Organizations};
use countersign_domain::resource::{InvalidResource, Resource, Resources};
use countersign_domain::scope::{InvalidScope, Scope, Scopes};
use ipnet::IpNet;

/// How the entries of a list are read.
pub(crate) struct List<T, E> {
    most: usize,
    too_many: E,
    parse: fn(&str) -> Result<T, E>,
}

/// What is wrong with a list.
pub(crate) struct Wrong {
    /// With which entry; `None`: with the list.
    pub(crate) index: Option<usize>,
    /// Why, to be read after the name of the list.
    pub(crate) reason: String,
}

/// What a token may be used for.
pub(crate) const SCOPES: List<Scope, InvalidScope> =
    List { most: Scopes::MOST, too_many: InvalidScope::TooMany, parse: Scope::parse };

/// In which organizations.
pub(crate) const ORGANIZATIONS: List<OrganizationId, InvalidOrganization> = List {
    most: Organizations::MOST,
    too_many: InvalidOrganization::TooMany,
    parse: Organizations::parse_one,
};

/// On which requests.
pub(crate) const RESOURCES: List<Resource, InvalidResource> =
    List { most: Resources::MOST, too_many: InvalidResource::TooMany, parse: Resource::parse };

/// From where.
pub(crate) const ALLOWED_IPS: List<IpNet, InvalidNetwork> =
    List { most: Networks::MOST, too_many: InvalidNetwork::TooMany, parse: Networks::parse_one };

impl<T, E: ToString> List<T, E> {
    /// Reads the entries, of which `None` is no text, and makes a list of them. The bound first: nobody needs errors
    /// about the ten-thousandth entry.
    pub(crate) fn read<'a, L>(
        &self,
        texts: impl ExactSizeIterator<Item = Option<&'a str>>,
        collect: impl FnOnce(Vec<T>) -> Result<L, E>,
    ) -> Result<L, Wrong> {
        if texts.len() > self.most {
            return Err(Wrong { index: None, reason: self.too_many.to_string() });
        }
        let parse = |(index, text): (usize, Option<&str>)| {
            let wrong = |reason| Wrong { index: Some(index), reason };
            let text = text.ok_or_else(|| wrong("must be a text".to_owned()))?;
            (self.parse)(text).map_err(|why| wrong(why.to_string()))
        };
        let entries = texts.enumerate().map(parse).collect::<Result<_, _>>()?;
        collect(entries).map_err(|why| Wrong { index: None, reason: why.to_string() })
    }
}

/// The entries of a list, as answers show them.
pub(crate) fn texts<T: ToString>(list: &[T]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}
