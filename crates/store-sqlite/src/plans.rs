//! How SQLite carries out each statement: through the index that was made for it.

use rusqlite::Connection;

use crate::migrate;
use crate::sql;

/// These alone read a table or an index from end to end: to load all of it, or because it has one row, or because they
/// stop at the first.
const SCANS: &[&str] = &[
    sql::LOAD_ACCOUNTS,
    sql::LOAD_SERVICE_TOKENS,
    sql::LOAD_ACCESS_TOKENS,
    sql::LOAD_USED_SECRETS,
    sql::LOAD_QUOTA_USES,
    sql::LOAD_KEY_GENERATIONS,
    sql::LOAD_ORGANIZATIONS,
    sql::LOAD_MEMBERSHIPS,
    sql::LOAD_CUTS,
    sql::COUNT_CUTS,
    sql::LIST_WALKING_CUTS,
    sql::BEGIN_CUT_WALK,
    sql::FIND_CUT_WALK,
    sql::SET_CUT_WALK,
    sql::END_CUT_WALK,
    sql::FIND_EPOCH_SWEEP,
    sql::FIND_AUDIT_SPANS,
    sql::LIST_OLDEST_AUDIT,
    sql::LAST_REVISION,
    sql::SET_SWEEP_REVISION,
    sql::PROBE,
    sql::FIND_ROOT_TOKEN,
    sql::FIND_ROOT_ACCOUNT,
    sql::COUNT_ROWS,
    sql::EXPORT_ACCOUNTS,
    sql::EXPORT_ORGANIZATIONS,
    sql::EXPORT_MEMBERSHIPS,
    sql::EXPORT_SERVICE_TOKENS,
    sql::EXPORT_ACCESS_TOKENS,
    sql::EXPORT_ROOT_TOKENS,
    sql::EXPORT_EPOCH_SWEEPS,
    sql::EXPORT_AUDIT,
    sql::EXPORT_USES,
    sql::EXPORT_REFUSALS,
    sql::COUNT_IN_ACCOUNTS,
    sql::COUNT_IN_ORGANIZATIONS,
    sql::LIST_KEYS,
];

fn plan(connection: &Connection, sql: &str) -> Result<String, rusqlite::Error> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    // Unbound parameters are NULL; the plan does not depend on them.
    let mut rows = statement.raw_query();
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        lines.push(row.get::<_, String>(3)?);
    }
    Ok(lines.join("\n"))
}

fn migrated() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    migrate::migrate(&mut connection, migrate::ALL).unwrap();
    connection
}

#[test]
fn each_list_has_its_index() {
    let connection = migrated();
    let expected = [
        (sql::LIST_SERVICE_TOKENS, "INDEX service_tokens_by_creation (account=? AND (created_at,id)>(?,?))"),
        (sql::LIST_SERVICE_TOKENS_OF_NAME, "INDEX service_tokens_by_name (account=? AND name=?)"),
        (sql::COUNT_SERVICE_TOKENS_OF_NAME, "COVERING INDEX service_tokens_by_name (account=? AND name=?)"),
        (sql::SEARCH_SERVICE_TOKENS, "INDEX service_tokens_by_creation (account=?)"),
        (sql::SEARCH_SERVICE_TOKENS_OF_NAME, "INDEX service_tokens_by_name (account=? AND name=?)"),
        (
            sql::FIND_KEY_IN_PAGE,
            "COVERING INDEX service_tokens_by_creation (account=? AND (created_at,id)>(?,?))",
        ),
        (sql::FIND_PAGE_OF_KEY, "PRIMARY KEY (account=? AND (first_created_at,first_id)<(?,?))"),
        (sql::LIST_PAGES, "PRIMARY KEY (account=?)"),
        (sql::LIST_ACCESS_TOKENS, "INDEX access_tokens_by_creation (account=?)"),
        (
            sql::WALK_ACCESS_TOKENS,
            "INDEX access_tokens_by_creation (account=? AND created_at>? AND created_at<?)",
        ),
        (
            sql::COUNT_EXPIRED_ACCESS_TOKENS,
            "COVERING INDEX access_tokens_of_account_by_expiry (account=? AND expires_at<?)",
        ),
        (
            sql::ARE_MORE_EXPIRED,
            "COVERING INDEX access_tokens_of_account_by_expiry (account=? AND expires_at<?)",
        ),
        (sql::LIST_EXPIRED_ACCESS_TOKENS, "INDEX access_tokens_by_expiry (expires_at<?)"),
        (sql::LIST_AUDIT, "SEARCH audit USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        (sql::LIST_AUDIT_OF_ACCOUNT, "INDEX audit_by_account (account=? AND revision>? AND revision<?)"),
        (sql::LIST_AUDIT_OF_TOKEN, "SEARCH audit USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        (sql::LIST_AUDIT_SPANS, "SEARCH audit_spans USING INTEGER PRIMARY KEY (rowid<?)"),
        (sql::LIST_USES, "PRIMARY KEY (token=?)"),
        (sql::LIST_REFUSALS, "PRIMARY KEY (token=?)"),
        (sql::SWEEP_REFUSALS, "INDEX refusals_by_minute (minute<?)"),
    ];
    for (sql, index) in expected {
        let plan = plan(&connection, sql).unwrap();
        assert!(plan.contains(index), "{sql}\n{plan}\nnot by {index}");
    }
}

#[test]
fn nothing_reads_a_whole_table_or_sorts() {
    let connection = migrated();
    for sql in sql::ALL {
        let plan = plan(&connection, sql).unwrap();
        assert!(SCANS.contains(sql) || !plan.contains("SCAN "), "{sql}\n{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
    }
}
