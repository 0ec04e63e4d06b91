//! The query of the list.

use axum::extract::FromRequestParts;
use countersign_authority::List;
use http::request::Parts;

use super::failure::Failure;

/// Rows of a page when none are asked for, and the most there can be (cloudflare-access.md 1.4).
const MOST_PER_PAGE: u32 = 1000;
/// Longest text to search for, in characters: no name is longer.
const LONGEST_SEARCH: usize = 350;

/// `name`, `search`, `page` and `per_page`; anything else is left alone, because SDKs may add to it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ListQuery {
    pub(super) name: Option<String>,
    pub(super) search: Option<String>,
    pub(super) page: u64,
    pub(super) per_page: u32,
}

impl ListQuery {
    /// For the authority. A page beyond every number is a page beyond the end.
    pub(super) fn list(self) -> List {
        let offset = (self.page - 1).saturating_mul(self.per_page.into());
        List { name: self.name, search: self.search, offset, limit: self.per_page }
    }

    fn parse(query: &str) -> Result<Self, Failure> {
        let mut parsed = Self { name: None, search: None, page: 1, per_page: MOST_PER_PAGE };
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "name" => parsed.name = Some(value.into_owned()).filter(|name| !name.is_empty()),
                "search" => parsed.search = Some(value.into_owned()).filter(|search| !search.is_empty()),
                "page" => parsed.page = whole_number("/page", &value)?,
                "per_page" => {
                    let wanted = whole_number("/per_page", &value)?;
                    parsed.per_page = u32::try_from(wanted).unwrap_or(MOST_PER_PAGE).min(MOST_PER_PAGE);
                }
                _ => {}
            }
        }
        if parsed.search.as_ref().is_some_and(|search| search.chars().count() > LONGEST_SEARCH) {
            return Err(Failure::invalid(
                "/search",
                format!("must have at most {LONGEST_SEARCH} characters"),
            ));
        }
        Ok(parsed)
    }
}

/// A whole number of at least 1; one too large for a machine counts as the largest.
fn whole_number(pointer: &str, value: &str) -> Result<u64, Failure> {
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_number { value.parse().unwrap_or(u64::MAX) } else { 0 };
    if number == 0 {
        return Err(Failure::invalid(pointer, "must be a whole number of at least 1"));
    }
    Ok(number)
}

impl<S: Sync> FromRequestParts<S> for ListQuery {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let parsed = |query: &str| ListQuery::parse(query).ok().map(|query| (query.page, query.per_page));
        assert_eq!(parsed(""), Some((1, 1000)));
        assert_eq!(parsed("page=3&per_page=50&direction=asc"), Some((3, 50)));
        assert_eq!(parsed("per_page=5000"), Some((1, 1000)));
        assert_eq!(parsed("per_page=99999999999999999999999"), Some((1, 1000)));
        assert_eq!(parsed("page=99999999999999999999999"), Some((u64::MAX, 1000)));
        for bad in
            ["page=0", "page=-1", "page=", "page=1.0", "per_page=abc", "per_page=0", "page=+1", "page=1%00"]
        {
            assert_eq!(parsed(bad), None, "{bad}");
        }
        assert!(ListQuery::parse(&format!("search={}", "x".repeat(351))).is_err());
    }
}
