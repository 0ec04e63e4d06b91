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
        "id, parent, email, password, profile, enabled, deleted, epoch, created_at, updated_at, version"
    };
}

macro_rules! service_token_columns {
    () => {
        "id, account, client_id, name, lifetime, enabled, scopes, organizations, resources, allowed_ips, limits, \
         secret_version, secret_digest, secret_created_at, rotated_by, \
         previous_version, previous_digest, previous_created_at, previous_replaced_at, previous_expires_at, \
         created_at, updated_at, expires_at, lineage, version"
    };
}

macro_rules! access_token_columns {
    () => {
        "handle, digest, account, name, ttl, scopes, organizations, resources, allowed_ips, limits, created_at, \
         expires_at, source, lineage, epoch, sealed, version"
    };
}

macro_rules! organization_columns {
    () => {
        "id, owner, profile, active, created_at, updated_at, version"
    };
}

macro_rules! membership_columns {
    () => {
        "id, organization, account, role, consent, disabled, created_at, updated_at, version"
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
        "INSERT INTO accounts (", account_columns!(), ") VALUES \
         (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
    );
    FIND_ACCOUNT = concat!("SELECT ", account_columns!(), " FROM accounts WHERE id = ?1");
    FIND_ROOT_ACCOUNT = concat!("SELECT ", account_columns!(), " FROM accounts WHERE parent IS NULL");
    FIND_ACCOUNT_BY_EMAIL = concat!("SELECT ", account_columns!(), " FROM accounts WHERE email = ?1");
    FIND_ACCOUNT_FACT = "SELECT id, parent, enabled, deleted, epoch, version FROM accounts WHERE id = ?1";
    /// Level by level: an account comes after the one it stands below, whatever their ids are.
    LOAD_ACCOUNTS =
        "WITH RECURSIVE tree (id, parent, enabled, deleted, epoch, version) AS ( \
         SELECT id, parent, enabled, deleted, epoch, version FROM accounts WHERE parent IS NULL UNION ALL \
         SELECT accounts.id, accounts.parent, accounts.enabled, accounts.deleted, accounts.epoch, accounts.version \
         FROM tree CROSS JOIN accounts ON accounts.parent = tree.id) \
         SELECT id, parent, enabled, deleted, epoch, version FROM tree";
    LIST_ACCOUNTS = concat!(
        "SELECT ", account_columns!(), " FROM accounts WHERE parent = ?1 AND deleted = 0 \
         ORDER BY created_at, id LIMIT ?2 OFFSET ?3"
    );
    UPDATE_ACCOUNT =
        "UPDATE accounts SET email = ?2, password = ?3, profile = ?4, enabled = ?5, deleted = ?6, epoch = ?7, \
         updated_at = ?8, version = ?9 WHERE id = ?1";
    EMAIL_IS_TAKEN = "SELECT 1 FROM accounts WHERE email = ?1 AND id <> ?2";
    FIND_CHILDREN = "SELECT children FROM accounts WHERE id = ?1";
    FIND_ROOM_BELOW = "SELECT children FROM accounts WHERE id = ?1 AND deleted = 0";
    ADD_CHILD = "UPDATE accounts SET children = children + ?2 WHERE id = ?1";
    FIND_COUNTS = "SELECT service_tokens, access_tokens FROM accounts WHERE id = ?1";
    FIND_ROOM = "SELECT service_tokens, access_tokens, epoch FROM accounts WHERE id = ?1 AND deleted = 0";
    ADD_COUNTS =
        "UPDATE accounts SET service_tokens = service_tokens + ?2, access_tokens = access_tokens + ?3 \
         WHERE id = ?1";

    START_EPOCH_SWEEP =
        "INSERT INTO epoch_sweeps (account, created_at, handle) VALUES (?1, -9223372036854775808, x'') \
         ON CONFLICT DO UPDATE SET created_at = excluded.created_at, handle = excluded.handle";
    FIND_EPOCH_SWEEP =
        "SELECT epoch_sweeps.account, epoch_sweeps.created_at, epoch_sweeps.handle, accounts.epoch \
         FROM epoch_sweeps JOIN accounts ON accounts.id = epoch_sweeps.account LIMIT 1";
    ADVANCE_EPOCH_SWEEP = "UPDATE epoch_sweeps SET created_at = ?2, handle = ?3 WHERE account = ?1";
    END_EPOCH_SWEEP = "DELETE FROM epoch_sweeps WHERE account = ?1";
    LIST_ACCESS_TOKENS_BEHIND =
        "SELECT rowid, handle, version, epoch, created_at FROM access_tokens \
         WHERE account = ?1 AND (created_at, handle) > (?2, ?3) ORDER BY created_at, handle LIMIT ?4";
    KEEP_ACCESS_TOKEN = "UPDATE access_tokens SET epoch = ?2, version = ?3 WHERE rowid = ?1";

    INSERT_CUT = "INSERT INTO cuts (handle) VALUES (?1) ON CONFLICT DO NOTHING";
    IS_CUT = "SELECT 1 FROM cuts WHERE handle = ?1";
    LOAD_CUTS = "SELECT handle FROM cuts";
    COUNT_CUTS = "SELECT count(*) FROM cuts";
    LIST_WALKING_CUTS = "SELECT handle FROM cuts INDEXED BY cuts_walking WHERE walking = 1";
    BEGIN_CUT_WALK = "UPDATE cuts SET walking = 1";
    END_CUT_WALK = "DELETE FROM cuts WHERE walking = 1";
    FIND_CUT_WALK = "SELECT service_tokens_to, access_tokens_to FROM cut_walk";
    SET_CUT_WALK = "UPDATE cut_walk SET service_tokens_to = ?1, access_tokens_to = ?2";
    LIST_SERVICE_TOKEN_LINEAGES =
        "SELECT rowid, lineage, account, id, client_id, created_at, version FROM service_tokens \
         WHERE rowid > ?1 ORDER BY rowid LIMIT ?2";
    LIST_ACCESS_TOKEN_LINEAGES =
        "SELECT rowid, lineage, account, handle, version FROM access_tokens WHERE rowid > ?1 ORDER BY rowid LIMIT ?2";

    FIND_DELETED = "SELECT id FROM accounts INDEXED BY accounts_deleted WHERE deleted > 0 AND deleted = ?1 LIMIT 1";
    LIST_CHILDREN = "SELECT id FROM accounts WHERE parent = ?1 AND deleted = 0 LIMIT ?2";
    FIND_CHILD = "SELECT id FROM accounts WHERE parent = ?1 LIMIT 1";
    DELETE_ORPHAN =
        "UPDATE accounts SET deleted = 1, email = ?2, password = NULL, profile = '{}' WHERE id = ?1";
    CHILDREN_ARE_DELETED = "UPDATE accounts SET deleted = 2 WHERE id = ?1";
    LIST_SERVICE_TOKENS_OF_DELETED =
        "SELECT rowid, id, client_id, created_at, version FROM service_tokens WHERE account = ?1 \
         ORDER BY created_at, id LIMIT ?2";
    LIST_ACCESS_TOKENS_OF_DELETED =
        "SELECT rowid, handle, version FROM access_tokens WHERE account = ?1 ORDER BY created_at, handle LIMIT ?2";
    LIST_MEMBERSHIPS_OF_DELETED =
        concat!("SELECT ", membership_columns!(), " FROM memberships WHERE account = ?1 LIMIT ?2");
    FIND_ORGANIZATION_OF_DELETED = "SELECT id FROM organizations WHERE owner = ?1 LIMIT 1";
    LIST_MEMBERSHIPS_OF_GONE = concat!(
        "SELECT ", membership_columns!(), " FROM memberships WHERE organization = ?1 \
         ORDER BY created_at, id LIMIT ?2"
    );
    DELETE_ORGANIZATION = "DELETE FROM organizations WHERE id = ?1";
    DELETE_PAGES = "DELETE FROM service_token_pages WHERE account = ?1";
    DELETE_ACCOUNT = "DELETE FROM accounts WHERE id = ?1";

    INSERT_ORGANIZATION = concat!(
        "INSERT INTO organizations (", organization_columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
    );
    FIND_ORGANIZATION = concat!("SELECT ", organization_columns!(), " FROM organizations WHERE id = ?1");
    UPDATE_ORGANIZATION =
        "UPDATE organizations SET profile = ?2, active = ?3, updated_at = ?4, version = ?5 WHERE id = ?1";
    LOAD_ORGANIZATIONS = "SELECT id, owner, active, version FROM organizations";
    COUNT_ORGANIZATIONS =
        "SELECT count(*) FROM memberships WHERE account = ?1 AND consent = 'given' AND disabled = 0";
    /// Made in the order of their ids.
    LIST_ORGANIZATIONS =
        "SELECT organizations.id, owner, profile, active, organizations.created_at, organizations.updated_at, \
         organizations.version FROM memberships CROSS JOIN organizations ON organizations.id = organization \
         WHERE account = ?1 AND consent = 'given' AND disabled = 0 ORDER BY organization LIMIT ?2 OFFSET ?3";
    FIND_ORGANIZATION_MEMBERSHIPS = "SELECT memberships FROM organizations WHERE id = ?1";
    FIND_ACCOUNT_MEMBERSHIPS = "SELECT memberships FROM accounts WHERE id = ?1 AND deleted = 0";
    ADD_ORGANIZATION_MEMBERSHIP = "UPDATE organizations SET memberships = memberships + ?2 WHERE id = ?1";
    ADD_ACCOUNT_MEMBERSHIP = "UPDATE accounts SET memberships = memberships + ?2 WHERE id = ?1";
    INSERT_MEMBERSHIP = concat!(
        "INSERT INTO memberships (", membership_columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
    );
    FIND_MEMBERSHIP = concat!("SELECT ", membership_columns!(), " FROM memberships WHERE id = ?1");
    FIND_MEMBERSHIP_OF = concat!(
        "SELECT ", membership_columns!(), " FROM memberships WHERE account = ?1 AND organization = ?2"
    );
    UPDATE_MEMBERSHIP =
        "UPDATE memberships SET role = ?2, consent = ?3, disabled = ?4, updated_at = ?5, version = ?6 WHERE id = ?1";
    DELETE_MEMBERSHIP = "DELETE FROM memberships WHERE id = ?1";
    LIST_MEMBERSHIPS_OF_ORGANIZATION = concat!(
        "SELECT ", membership_columns!(), " FROM memberships WHERE organization = ?1 \
         ORDER BY created_at, id LIMIT ?2 OFFSET ?3"
    );
    LIST_MEMBERSHIPS_OF_ACCOUNT = concat!(
        "SELECT ", membership_columns!(), " FROM memberships WHERE account = ?1 \
         ORDER BY created_at, id LIMIT ?2 OFFSET ?3"
    );
    COUNT_MEMBERSHIPS_OF_ACCOUNT = "SELECT count(*) FROM memberships WHERE account = ?1";
    LOAD_MEMBERSHIPS = "SELECT id, organization, account, consent, disabled, version FROM memberships";

    INSERT_SERVICE_TOKEN = concat!(
        "INSERT INTO service_tokens (", service_token_columns!(), ") VALUES \
         (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, \
         ?22, ?23, ?24, ?25)"
    );
    FIND_SERVICE_TOKEN_ROW =
        "SELECT rowid, account, client_id, version, created_at, name FROM service_tokens WHERE id = ?1";
    /// Without the name, which is in an index: few changes touch it.
    UPDATE_SERVICE_TOKEN =
        "UPDATE service_tokens SET lifetime = ?2, enabled = ?3, scopes = ?4, organizations = ?5, resources = ?6, \
         allowed_ips = ?7, limits = ?8, secret_version = ?9, secret_digest = ?10, secret_created_at = ?11, \
         rotated_by = ?12, previous_version = ?13, previous_digest = ?14, previous_created_at = ?15, \
         previous_replaced_at = ?16, previous_expires_at = ?17, \
         updated_at = ?18, expires_at = ?19, version = ?20 WHERE rowid = ?1";
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
        "SELECT id, account, client_id, name, enabled, scopes, organizations, resources, allowed_ips, limits, \
         secret_version, secret_digest, previous_version, previous_digest, previous_replaced_at, \
         previous_expires_at, expires_at, lineage, version FROM service_tokens";
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
         (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)"
    );
    FIND_ACCESS_TOKEN_ROW = "SELECT rowid, account, version FROM access_tokens WHERE handle = ?1";
    FIND_CALLER = "SELECT account, version, epoch, lineage FROM access_tokens WHERE handle = ?1";
    COUNT_LOGINS =
        "SELECT count(*) FROM access_tokens INDEXED BY access_tokens_of_logins \
         WHERE source = 'login' AND account = ?1 AND expires_at > ?2 \
         AND epoch >= (SELECT epoch FROM accounts WHERE id = ?1)";
    DELETE_ACCESS_TOKEN = "DELETE FROM access_tokens WHERE rowid = ?1";
    ACCESS_TOKEN_EXISTS = "SELECT 1 FROM access_tokens WHERE handle = ?1";
    FIND_ACCESS_TOKEN = concat!(
        "SELECT ", access_token_columns!(), " FROM access_tokens WHERE handle = ?1"
    );
    COUNT_EXPIRED_ACCESS_TOKENS =
        "SELECT count(*) FROM access_tokens INDEXED BY access_tokens_of_account_by_expiry \
         WHERE expires_at < 9223372036854775807 AND expires_at <= ?2 AND account = ?1";
    /// A row, when there are more than ?3.
    ARE_MORE_EXPIRED =
        "SELECT 1 FROM access_tokens INDEXED BY access_tokens_of_account_by_expiry \
         WHERE expires_at < 9223372036854775807 AND expires_at <= ?2 AND account = ?1 LIMIT 1 OFFSET ?3";
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
        "SELECT handle, digest, account, name, scopes, organizations, resources, allowed_ips, limits, expires_at, \
         lineage, epoch, version FROM access_tokens";

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

    ADD_QUOTA_USES =
        "INSERT INTO quota_uses (token, period, first_day, ends_at, used) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT DO UPDATE SET used = used + excluded.used RETURNING used";
    LOAD_QUOTA_USES =
        "SELECT quota_uses.token, period, first_day, used, service_tokens.client_id \
         FROM quota_uses LEFT JOIN service_tokens ON service_tokens.id = quota_uses.token \
         WHERE service_tokens.id IS NOT NULL \
             OR EXISTS (SELECT 1 FROM access_tokens WHERE access_tokens.handle = quota_uses.token)";
    SWEEP_QUOTA_USES =
        "DELETE FROM quota_uses WHERE (token, period, first_day) IN \
         (SELECT token, period, first_day FROM quota_uses WHERE ends_at < ?1 \
          ORDER BY ends_at, token, period, first_day LIMIT ?2)";

    INSERT_KEY_GENERATION =
        "INSERT INTO key_generations (number, ed25519_public, ed25519_private, p256_public, p256_private, rsa_public, \
         rsa_private, rsa_certificate, created_at, signs_from, interval_days, version) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    LOAD_KEY_GENERATIONS =
        "SELECT number, ed25519_public, ed25519_private, p256_public, p256_private, rsa_public, rsa_private, \
         rsa_certificate, created_at, signs_from, interval_days, version FROM key_generations ORDER BY number";
    FIND_KEY_VERSION = "SELECT version FROM key_generations WHERE number = ?1";
    UPDATE_KEY_INTERVAL = "UPDATE key_generations SET interval_days = ?2, version = version + 1 WHERE number = ?1";
    DELETE_KEY_GENERATION = "DELETE FROM key_generations WHERE number = ?1";

    /// How many rows each table has.
    COUNT_ROWS =
        "SELECT 'accounts', count(*) FROM accounts \
         UNION ALL SELECT 'organizations', count(*) FROM organizations \
         UNION ALL SELECT 'memberships', count(*) FROM memberships \
         UNION ALL SELECT 'service_tokens', count(*) FROM service_tokens \
         UNION ALL SELECT 'access_tokens', count(*) FROM access_tokens \
         UNION ALL SELECT 'root_tokens', count(*) FROM root_tokens \
         UNION ALL SELECT 'cuts', count(*) FROM cuts \
         UNION ALL SELECT 'epoch_sweeps', count(*) FROM epoch_sweeps \
         UNION ALL SELECT 'audit', count(*) FROM audit \
         UNION ALL SELECT 'uses', count(*) FROM uses \
         UNION ALL SELECT 'refusals', count(*) FROM refusals \
         UNION ALL SELECT 'key_generations', count(*) FROM key_generations";
    /// Level by level, as [`LOAD_ACCOUNTS`].
    EXPORT_ACCOUNTS = concat!(
        "WITH RECURSIVE tree (account) AS ( \
         SELECT id FROM accounts WHERE parent IS NULL UNION ALL \
         SELECT accounts.id FROM tree CROSS JOIN accounts ON accounts.parent = tree.account) \
         SELECT ", account_columns!(), " FROM tree CROSS JOIN accounts ON accounts.id = tree.account"
    );
    EXPORT_ORGANIZATIONS = concat!("SELECT ", organization_columns!(), " FROM organizations");
    EXPORT_MEMBERSHIPS = concat!("SELECT ", membership_columns!(), " FROM memberships");
    EXPORT_SERVICE_TOKENS = concat!("SELECT ", service_token_columns!(), " FROM service_tokens");
    EXPORT_ACCESS_TOKENS = concat!("SELECT ", access_token_columns!(), " FROM access_tokens");
    EXPORT_ROOT_TOKENS = "SELECT handle FROM root_tokens ORDER BY position";
    EXPORT_EPOCH_SWEEPS = "SELECT account FROM epoch_sweeps";
    EXPORT_AUDIT = concat!("SELECT ", audit_columns!(), " FROM audit ORDER BY revision");
    EXPORT_USES = concat!("SELECT ", use_columns!(), " FROM uses");
    EXPORT_REFUSALS = "SELECT token, minute, reason, count, address FROM refusals";
    /// What is counted in other rows, from what is there.
    COUNT_IN_ACCOUNTS =
        "UPDATE accounts SET \
         service_tokens = (SELECT count(*) FROM service_tokens WHERE account = accounts.id), \
         access_tokens = (SELECT count(*) FROM access_tokens WHERE account = accounts.id), \
         children = (SELECT count(*) FROM accounts AS below WHERE below.parent = accounts.id AND below.deleted = 0), \
         memberships = (SELECT count(*) FROM memberships WHERE account = accounts.id AND consent = 'given')";
    COUNT_IN_ORGANIZATIONS =
        "UPDATE organizations SET \
         memberships = (SELECT count(*) FROM memberships WHERE organization = organizations.id)";
    LIST_KEYS = "SELECT account, created_at, id FROM service_tokens ORDER BY account, created_at, id";
    FIND_AUDIT_FROM = "SELECT revision FROM audit WHERE revision BETWEEN ?1 AND ?2 ORDER BY revision LIMIT 1";
}
