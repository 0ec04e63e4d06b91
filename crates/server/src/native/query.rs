//! Queries of this wire: every parameter known, and given once. A misspelt filter would show too much, or nothing.

use std::borrow::Cow;

use super::failure::Failure;

/// The parameters of a query.
pub(super) struct Parameters<'q>(Vec<(Cow<'q, str>, Cow<'q, str>)>);

impl<'q> Parameters<'q> {
    /// Takes a query apart.
    pub(super) fn read(query: Option<&'q str>, known: &[&str]) -> Result<Self, Failure> {
        let parameters: Vec<_> = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect();
        for (index, (name, _)) in parameters.iter().enumerate() {
            if !known.contains(&name.as_ref()) {
                let known = known.join("`, `");
                // The name is not repeated: what was meant as a value may stand in its place.
                return Err(Failure::invalid("query", format!("has a parameter that is none of `{known}`")));
            }
            if parameters[..index].iter().any(|(before, _)| before == name) {
                return Err(Failure::invalid(name.as_ref(), "is given twice"));
            }
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter, when it is given; `wanted` says what it must be.
    pub(super) fn find<T>(
        &self,
        name: &str,
        wanted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let Some((_, text)) = self.0.iter().find(|(given, _)| given == name) else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| Failure::invalid(name, format!("must be {wanted}")))
    }
}
