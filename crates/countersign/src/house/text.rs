//! What a store holds, for people.

use countersign_domain::archive::{Contents, Table};

/// How much there is, in one line.
pub(crate) fn contents(contents: &Contents) -> String {
    let rows = |table: Table, one: &str, many: &str| {
        let rows = contents.rows.of(table);
        format!("{rows} {}", if rows == 1 { one } else { many })
    };
    [
        rows(Table::Accounts, "account", "accounts"),
        rows(Table::Organizations, "organization", "organizations"),
        rows(Table::ServiceTokens, "service token", "service tokens"),
        rows(Table::AccessTokens, "access token", "access tokens"),
        rows(Table::Audit, "audit record", "audit records"),
    ]
    .join(", ")
}
