//! Every statement. All are prepared when the store is opened, on the migrated schema, so that a wrong one stops the
//! start instead of a request.

/// Names statements and lists them.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$doc])* pub(crate) const $name: &str = $sql;)*

        /// Every statement.
        pub(crate) const ALL: &[&str] = &[$($name),*];
    };
}

/// In the order in which [`crate::row`] reads them.
macro_rules! account_columns {
    () => {
        "id, parent, email, enabled, created_at, version"
    };
}

macro_rules! service_token_columns {
    () => {
        "id, account, client_id, name, lifetime, enabled, scopes, resources, allowed_ips, \
         secret_version, secret_digest, secret_created_at, rotated_by, \
         previous_version, previous_digest, previous_created_at, previous_replaced_at, previous_expires_at, \
         created_at, updated_at, expires_at, minted_by, version"
    };
}

macro_rules! access_token_columns {
    () => {
        "handle, digest, account, ttl, scopes, resources, allowed_ips, created_at, expires_at, minted_by, version"
    };
}

macro_rules! audit_columns {
    () => {
        "revision, id, at, actor_account, actor_handle, action, account, subject_account, token, address, \
         request_id, changes"
    };
}

macro_rules! use_columns {
    () => {
        "token, secret_version, count, first_at, last_at, address, user_agent, door"
    };
}

statements! {
    BEGIN_READ = "BEGIN";
    BEGIN_WRITE = "BEGIN IMMEDIATE";
    COMMIT = "COMMIT";
    ROLLBACK = "ROLLBACK";
    SAVEPOINT = "SAVEPOINT change";
    RELEASE = "RELEASE change";
    ROLLBACK_TO = "ROLLBACK TO change";
    CHECKPOINT = "PRAGMA wal_checkpoint(PASSIVE)";
    CHECKPOINT_WAITING = "PRAGMA wal_checkpoint(RESTART)";
    CHECKPOINT_TO_NOTHING = "PRAGMA wal_checkpoint(TRUNCATE)";

    LAST_REVISION =
        "SELECT max((SELECT coalesce(max(revision), 0) FROM audit), (SELECT revision FROM last_sweep))";
    SET_SWEEP_REVISION = "UPDATE last_sweep SET revision = ?1";
    /// Changes nothing, but has to be written like a change.
    PROBE = "UPDATE last_sweep SET revision = revision";

    INSERT_ACCOUNT = concat!(
        "INSERT INTO accounts (", account_columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
    );
    FIND_ACCOUNT = concat!("SELECT ", account_columns!(), " FROM accounts WHERE id = ?1");
    FIND_ROOT_ACCOUNT = concat!("SELECT ", account_columns!(), " FROM accounts WHERE parent IS NULL");
    LOAD_ACCOUNTS = concat!("SELECT ", account_columns!(), " FROM accounts");
    FIND_COUNTS = "SELECT service_tokens, access_tokens FROM accounts WHERE id = ?1";
    ADD_COUNTS =
        "UPDATE accounts SET service_tokens = service_tokens + ?2, access_tokens = access_tokens + ?3 \
         WHERE id = ?1";

    INSERT_SERVICE_TOKEN = concat!(
        "INSERT INTO service_tokens (", service_token_columns!(), ") VALUES \
         (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, \
         ?22, ?23)"
    );
    FIND_SERVICE_TOKEN_ROW =
        "SELECT rowid, account, client_id, version, created_at, name FROM service_tokens WHERE id = ?1";
    /// Without the name, which is in an index: few changes touch it.
    UPDATE_SERVICE_TOKEN =
        "UPDATE service_tokens SET lifetime = ?2, enabled = ?3, scopes = ?4, resources = ?5, allowed_ips = ?6, \
         secret_version = ?7, secret_digest = ?8, secret_created_at = ?9, rotated_by = ?10, \
         previous_version = ?11, previous_digest = ?12, previous_created_at = ?13, \
         previous_replaced_at = ?14, previous_expires_at = ?15, \
         updated_at = ?16, expires_at = ?17, version = ?18 WHERE rowid = ?1";
    RENAME_SERVICE_TOKEN = "UPDATE service_tokens SET name = ?2 WHERE rowid = ?1";
    DELETE_SERVICE_TOKEN = "DELETE FROM service_tokens WHERE rowid = ?1";
    SERVICE_TOKEN_EXISTS = "SELECT 1 FROM service_tokens WHERE id = ?1";
    FIND_SERVICE_TOKEN = concat!(
        "SELECT ", service_token_columns!(), " FROM service_tokens WHERE id = ?1 AND account = ?2"
    );
    LIST_SERVICE_TOKENS = concat!(
        "SELECT ", service_token_columns!(), " FROM service_tokens \
         WHERE account = ?1 AND (created_at, id) >= (?2, ?3) ORDER BY created_at, id LIMIT ?4 OFFSET ?5"
    );
    COUNT_SERVICE_TOKENS_OF_NAME = "SELECT count(*) FROM service_tokens WHERE account = ?1 AND name = ?2";
    LIST_SERVICE_TOKENS_OF_NAME = concat!(
        "SELECT ", service_token_columns!(), " FROM service_tokens \
         WHERE account = ?1 AND name = ?2 ORDER BY created_at, id LIMIT ?3 OFFSET ?4"
    );
    SEARCH_SERVICE_TOKENS =
        "SELECT rowid, id, client_id, name FROM service_tokens WHERE account = ?1 ORDER BY created_at, id";
    SEARCH_SERVICE_TOKENS_OF_NAME =
        "SELECT rowid, id, client_id, name FROM service_tokens \
         WHERE account = ?1 AND name = ?2 ORDER BY created_at, id";
    SERVICE_TOKEN_AT = concat!("SELECT ", service_token_columns!(), " FROM service_tokens WHERE rowid = ?1");
    LOAD_SERVICE_TOKENS =
        "SELECT id, account, client_id, name, enabled, scopes, resources, allowed_ips, secret_version, secret_digest, \
         previous_version, previous_digest, previous_replaced_at, previous_expires_at, expires_at, version \
         FROM service_tokens";
    LOAD_USED_SECRETS =
        "SELECT uses.token, uses.secret_version, service_tokens.client_id \
         FROM uses LEFT JOIN service_tokens ON service_tokens.id = uses.token";

    FIND_PAGE_OF_KEY =
        "SELECT first_created_at, first_id FROM service_token_pages \
         WHERE account = ?1 AND (first_created_at, first_id) <= (?2, ?3) \
         ORDER BY first_created_at DESC, first_id DESC LIMIT 1";
    FIND_NEXT_PAGE =
        "SELECT first_created_at, first_id FROM service_token_pages \
         WHERE account = ?1 AND (first_created_at, first_id) > (?2, ?3) \
         ORDER BY first_created_at, first_id LIMIT 1";
    FIND_PAGE_BEFORE =
        "SELECT first_created_at, first_id, tokens FROM service_token_pages \
         WHERE account = ?1 AND (first_created_at, first_id) < (?2, ?3) \
         ORDER BY first_created_at DESC, first_id DESC LIMIT 1";
    INSERT_PAGE = "INSERT INTO service_token_pages VALUES (?1, ?2, ?3, ?4)";
    ADD_TO_PAGE =
        "UPDATE service_token_pages SET tokens = tokens + ?4 \
         WHERE account = ?1 AND first_created_at = ?2 AND first_id = ?3";
    FIND_PAGE_COUNT =
        "SELECT tokens FROM service_token_pages WHERE account = ?1 AND first_created_at = ?2 AND first_id = ?3";
    DELETE_PAGE =
        "DELETE FROM service_token_pages WHERE account = ?1 AND first_created_at = ?2 AND first_id = ?3";
    LIST_PAGES =
        "SELECT first_created_at, first_id, tokens FROM service_token_pages \
         WHERE account = ?1 ORDER BY first_created_at, first_id";
    FIND_KEY_IN_PAGE =
        "SELECT created_at, id FROM service_tokens \
         WHERE account = ?1 AND (created_at, id) >= (?2, ?3) ORDER BY created_at, id LIMIT 1 OFFSET ?4";

    INSERT_ACCESS_TOKEN = concat!(
        "INSERT INTO access_tokens (", access_token_columns!(), ") VALUES \
         (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
    );
    FIND_ACCESS_TOKEN_ROW = "SELECT rowid, account, version FROM access_tokens WHERE handle = ?1";
    DELETE_ACCESS_TOKEN = "DELETE FROM access_tokens WHERE rowid = ?1";
    ACCESS_TOKEN_EXISTS = "SELECT 1 FROM access_tokens WHERE handle = ?1";
    FIND_ACCESS_TOKEN = concat!(
        "SELECT ", access_token_columns!(), " FROM access_tokens WHERE handle = ?1 AND account = ?2"
    );
    COUNT_EXPIRED_ACCESS_TOKENS =
        "SELECT count(*) FROM access_tokens INDEXED BY access_tokens_of_account_by_expiry \
         WHERE expires_at < 9223372036854775807 AND expires_at <= ?2 AND account = ?1";
    LIST_ACCESS_TOKENS = concat!(
        "SELECT ", access_token_columns!(), " FROM access_tokens \
         WHERE account = ?1 AND expires_at > ?2 ORDER BY created_at, handle LIMIT ?3 OFFSET ?4"
    );
    /// Every bound is given, be it the least or the greatest there is.
    WALK_ACCESS_TOKENS = concat!(
        "SELECT ", access_token_columns!(), " FROM access_tokens \
         WHERE account = ?1 AND created_at BETWEEN ?2 AND ?3 AND expires_at > ?4 ORDER BY created_at, handle"
    );
    LIST_EXPIRED_ACCESS_TOKENS =
        "SELECT rowid, handle, account, version FROM access_tokens \
         WHERE expires_at < 9223372036854775807 AND expires_at < ?1 ORDER BY expires_at, handle LIMIT ?2";
    LOAD_ACCESS_TOKENS =
        "SELECT handle, digest, account, scopes, resources, allowed_ips, expires_at, version FROM access_tokens";

    INSERT_ROOT_TOKEN = "INSERT INTO root_tokens (handle) VALUES (?1)";
    ROOT_TOKEN_WAS_SET = "SELECT 1 FROM root_tokens WHERE handle = ?1";
    FIND_ROOT_TOKEN =
        "SELECT handle, (SELECT version FROM access_tokens WHERE access_tokens.handle = root_tokens.handle) \
         FROM root_tokens ORDER BY position DESC LIMIT 1";

    INSERT_AUDIT = concat!(
        "INSERT INTO audit (", audit_columns!(), ") VALUES \
         (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
    );
    READ_AUDIT_SPAN = "SELECT at, token FROM audit WHERE revision BETWEEN ?1 AND ?2";
    INSERT_AUDIT_SPAN = "INSERT INTO audit_spans (span, earliest, latest, tokens) VALUES (?1, ?2, ?3, ?4)";
    FIND_AUDIT_SPANS =
        "SELECT min(span), max(span) FROM audit_spans WHERE latest >= ?1 AND earliest < ?2";
    LIST_AUDIT_SPANS =
        "SELECT span, tokens FROM audit_spans \
         WHERE span <= ?1 AND latest >= ?2 AND earliest < ?3 ORDER BY span DESC";
    LIST_AUDIT = concat!(
        "SELECT ", audit_columns!(), " FROM audit WHERE revision BETWEEN ?1 AND ?2 ORDER BY revision DESC"
    );
    LIST_AUDIT_OF_ACCOUNT = concat!(
        "SELECT ", audit_columns!(), " FROM audit \
         WHERE account = ?3 AND revision BETWEEN ?1 AND ?2 ORDER BY revision DESC"
    );
    LIST_AUDIT_OF_TOKEN = concat!(
        "SELECT ", audit_columns!(), " FROM audit \
         WHERE token = ?3 AND revision BETWEEN ?1 AND ?2 ORDER BY revision DESC"
    );

    LIST_OLDEST_AUDIT = "SELECT revision, at FROM audit ORDER BY revision LIMIT ?1";
    DELETE_AUDIT = "DELETE FROM audit WHERE revision <= ?1";
    /// Those that end before the span of the last record that is gone.
    DELETE_AUDIT_SPANS = "DELETE FROM audit_spans WHERE span < ?1";

    ADD_USE =
        "UPDATE uses SET count = count + ?3, first_at = min(first_at, ?4), \
         address = iif(last_at <= ?5, ?6, address), user_agent = iif(last_at <= ?5, ?7, user_agent), \
         door = iif(last_at <= ?5, ?8, door), last_at = max(last_at, ?5) \
         WHERE token = ?1 AND secret_version = ?2";
    INSERT_USE = concat!(
        "INSERT INTO uses (", use_columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
    );
    FORGET_USES =
        "DELETE FROM uses WHERE token = ?1 AND secret_version <= \
         (SELECT secret_version FROM uses WHERE token = ?1 ORDER BY secret_version DESC LIMIT 1 OFFSET ?2)";
    DELETE_USES = "DELETE FROM uses WHERE token = ?1";
    LIST_USES = concat!(
        "SELECT ", use_columns!(), " FROM uses WHERE token = ?1 ORDER BY secret_version DESC"
    );
    ADD_REFUSALS =
        "INSERT INTO refusals (token, minute, reason, count, address) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT DO UPDATE SET count = count + excluded.count, address = excluded.address";
    DELETE_REFUSALS = "DELETE FROM refusals WHERE token = ?1";
    LIST_REFUSALS =
        "SELECT token, minute, reason, count, address FROM refusals WHERE token = ?1 \
         ORDER BY minute DESC, reason DESC LIMIT 1000";
    SWEEP_REFUSALS =
        "DELETE FROM refusals WHERE (token, minute, reason) IN \
         (SELECT token, minute, reason FROM refusals WHERE minute < ?1 \
          ORDER BY minute, token, reason LIMIT ?2)";
}
