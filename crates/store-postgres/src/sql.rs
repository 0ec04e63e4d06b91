//! Every statement. Each is prepared when the store is opened, on the migrated schema, so that a wrong one stops the
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
/// In which history of which database.
macro_rules! history {
    () => {
        "concat_ws('/', (SELECT system_identifier FROM pg_control_system()), \
             left(pg_walfile_name(pg_current_wal_lsn()), 8), \
             (SELECT oid FROM pg_database WHERE datname = current_database()), \
             pg_relation_filenode('feed'), (SELECT epoch FROM identity))"
    };
}

macro_rules! account_columns {
    () => {
        "id, parent, email, password, profile, enabled, deleted, epoch, created_at, updated_at, version"
    };
}

macro_rules! account_fact_columns {
    () => {
        "id, parent, enabled, deleted, epoch, version"
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
         request_id, fields, befores, afters"
    };
}

macro_rules! use_columns {
    () => {
        "token, secret_version, count, first_at, last_at, address, user_agent, door"
    };
}

/// Whether a token is stored, and that it stays until the transaction ends. It is named as an id, which only a service
/// token has, and as a text: what is made of a row's id is in no index, and would be made of every row.
macro_rules! token_is_held {
    () => {
        "(EXISTS (SELECT 1 FROM service_tokens WHERE service_tokens.id = added.id FOR KEY SHARE) \
         OR EXISTS (SELECT 1 FROM access_tokens WHERE access_tokens.handle = added.token FOR KEY SHARE))"
    };
}

// What is held or taken is looked up row by row, in the order asked for: a subquery that locks, or has a limit, is not
// merged with what it is joined with. So no plan that was made while a table was small reads through it when it is large.
// `(SELECT $1)` hides from the planner how long an array is; where it knows that one is short, it plans anew each time.
statements! {
    /// The accounts and those above them, in no order; none of them changes until the transaction ends. Who stands below
    /// whom never does.
    HOLD_CHAINS = concat!(
        "WITH RECURSIVE chain (id, above) AS ( \
             SELECT own.* FROM unnest((SELECT $1::uuid[])) AS asked (id) CROSS JOIN LATERAL \
                 (SELECT id, parent FROM accounts WHERE id = asked.id LIMIT 1) AS own \
             UNION \
             SELECT above.* FROM chain CROSS JOIN LATERAL \
                 (SELECT id, parent FROM accounts WHERE id = chain.above LIMIT 1) AS above) \
         SELECT found.* FROM chain CROSS JOIN LATERAL \
             (SELECT ", account_fact_columns!(), " FROM accounts WHERE id = chain.id FOR SHARE) AS found"
    );
    HOLD_CALLERS =
        "SELECT found.* FROM unnest((SELECT $1::text[])) AS asked (handle) CROSS JOIN LATERAL \
         (SELECT handle, account, version, epoch, lineage FROM access_tokens WHERE handle = asked.handle FOR SHARE) \
         AS found";
    HOLD_ANCESTORS =
        "SELECT found.* FROM unnest((SELECT $1::text[])) AS asked (handle) CROSS JOIN LATERAL \
         (SELECT handle FROM access_tokens WHERE handle = asked.handle FOR SHARE) AS found";
    LIST_CUTS_OF = "SELECT handle FROM cuts WHERE handle = ANY((SELECT $1::text[])::text[])";

    HOLD_ACCOUNTS =
        "SELECT found.* FROM unnest((SELECT $1::uuid[])) AS asked (id) CROSS JOIN LATERAL \
         (SELECT id, epoch FROM accounts WHERE id = asked.id AND deleted = 0 FOR SHARE) AS found";
    TAKE_ACCOUNT = concat!("SELECT ", account_fact_columns!(), " FROM accounts WHERE id = $1 FOR UPDATE");
    TAKE_COUNTS =
        "SELECT found.* FROM unnest((SELECT $1::uuid[])) AS asked (account) CROSS JOIN LATERAL \
         (SELECT service_tokens, access_tokens, children, memberships, account FROM account_counts \
          WHERE account = asked.account FOR UPDATE) AS found";
    ADD_COUNTS =
        "UPDATE account_counts SET service_tokens = service_tokens + $2, access_tokens = access_tokens + $3, \
         children = children + $4, memberships = memberships + $5 WHERE account = $1";
    EMAIL_IS_TAKEN = "SELECT 1 FROM accounts WHERE email = $1 AND id <> $2";
    INSERT_ACCOUNT = concat!(
        "INSERT INTO accounts (", account_columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT DO NOTHING"
    );
    INSERT_COUNTS = "INSERT INTO account_counts (account) VALUES ($1)";
    UPDATE_ACCOUNT =
        "UPDATE accounts SET email = $2, password = $3, profile = $4, enabled = $5, deleted = $6, epoch = $7, \
         updated_at = $8, version = $9 WHERE id = $1";
    START_EPOCH_SWEEP =
        "INSERT INTO epoch_sweeps (account, created_at, handle) VALUES ($1, -9223372036854775808, '') \
         ON CONFLICT (account) DO UPDATE SET created_at = excluded.created_at, handle = excluded.handle";
    KEEP_ACCESS_TOKEN =
        "UPDATE access_tokens SET epoch = $2, version = $3 WHERE handle = $1 AND account = $4 AND version = $3::bigint - 1";
    FIND_ACCOUNT = concat!("SELECT ", account_columns!(), " FROM accounts WHERE id = $1");
    FIND_ACCOUNT_BY_EMAIL =
        concat!("SELECT ", account_columns!(), " FROM accounts WHERE email = $1 AND deleted = 0");
    FIND_ROOT_ACCOUNT = concat!("SELECT ", account_columns!(), " FROM accounts WHERE parent IS NULL");
    FIND_COUNTS =
        "SELECT service_tokens, access_tokens, children, memberships FROM account_counts WHERE account = $1";
    LIST_ACCOUNTS = concat!(
        "SELECT ", account_columns!(), " FROM accounts WHERE parent = $1 AND deleted = 0 \
         ORDER BY created_at, id LIMIT $2 OFFSET $3"
    );
    LOAD_ACCOUNTS = concat!(
        "WITH RECURSIVE tree (id, parent, enabled, deleted, epoch, version, level) AS ( \
             SELECT ", account_fact_columns!(), ", 0 FROM accounts WHERE parent IS NULL \
             UNION ALL \
             SELECT below.id, below.parent, below.enabled, below.deleted, below.epoch, below.version, level + 1 \
             FROM tree JOIN accounts AS below ON below.parent = tree.id) \
         SELECT ", account_fact_columns!(), " FROM tree ORDER BY level"
    );

    INSERT_ORGANIZATION = concat!(
        "INSERT INTO organizations (", organization_columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT DO NOTHING"
    );
    TAKE_ORGANIZATION = "SELECT owner, version, memberships FROM organizations WHERE id = $1 FOR UPDATE";
    UPDATE_ORGANIZATION =
        "UPDATE organizations SET profile = $2, active = $3, updated_at = $4, version = $5 WHERE id = $1";
    ADD_MEMBERS = "UPDATE organizations SET memberships = memberships + $2 WHERE id = $1";
    FIND_ORGANIZATION = concat!("SELECT ", organization_columns!(), " FROM organizations WHERE id = $1");
    COUNT_ORGANIZATIONS =
        "SELECT count(*) FROM memberships WHERE account = $1 AND consent = 'given' AND NOT disabled";
    /// Made in the order of their ids.
    LIST_ORGANIZATIONS =
        "SELECT o.id, o.owner, o.profile, o.active, o.created_at, o.updated_at, o.version \
         FROM memberships AS m JOIN organizations AS o ON o.id = m.organization \
         WHERE m.account = $1 AND m.consent = 'given' AND NOT m.disabled ORDER BY o.id LIMIT $2 OFFSET $3";
    LOAD_ORGANIZATIONS = "SELECT id, owner, active, version FROM organizations";
    DELETE_ORGANIZATION = "DELETE FROM organizations WHERE id = $1";

    INSERT_MEMBERSHIP = concat!(
        "INSERT INTO memberships (", membership_columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT DO NOTHING"
    );
    TAKE_MEMBERSHIP = concat!("SELECT ", membership_columns!(), " FROM memberships WHERE id = $1 FOR UPDATE");
    FIND_MEMBERSHIP = concat!("SELECT ", membership_columns!(), " FROM memberships WHERE id = $1");
    FIND_MEMBERSHIP_OF = concat!(
        "SELECT ", membership_columns!(), " FROM memberships WHERE account = $1 AND organization = $2"
    );
    UPDATE_MEMBERSHIP =
        "UPDATE memberships SET role = $2, consent = $3, disabled = $4, updated_at = $5, version = $6 WHERE id = $1";
    DELETE_MEMBERSHIP = "DELETE FROM memberships WHERE id = $1";
    LIST_MEMBERSHIPS_OF_ORGANIZATION = concat!(
        "SELECT ", membership_columns!(), " FROM memberships WHERE organization = $1 \
         ORDER BY created_at, id LIMIT $2 OFFSET $3"
    );
    COUNT_MEMBERSHIPS_OF_ORGANIZATION = "SELECT memberships FROM organizations WHERE id = $1";
    LIST_MEMBERSHIPS_OF_ACCOUNT = concat!(
        "SELECT ", membership_columns!(), " FROM memberships WHERE account = $1 \
         ORDER BY created_at, id LIMIT $2 OFFSET $3"
    );
    COUNT_MEMBERSHIPS_OF_ACCOUNT = "SELECT count(*) FROM memberships WHERE account = $1";
    LOAD_MEMBERSHIPS = concat!("SELECT ", membership_columns!(), " FROM memberships");

    INSERT_SERVICE_TOKEN = concat!(
        "INSERT INTO service_tokens (", service_token_columns!(), ") VALUES \
         ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, \
          $24, $25) ON CONFLICT DO NOTHING"
    );
    TAKE_SERVICE_TOKEN = "SELECT account, client_id, version FROM service_tokens WHERE id = $1 FOR UPDATE";
    UPDATE_SERVICE_TOKEN =
        "UPDATE service_tokens SET name = $2, lifetime = $3, enabled = $4, scopes = $5, organizations = $6, \
         resources = $7, allowed_ips = $8, limits = $9, secret_version = $10, secret_digest = $11, \
         secret_created_at = $12, rotated_by = $13, previous_version = $14, previous_digest = $15, \
         previous_created_at = $16, previous_replaced_at = $17, previous_expires_at = $18, updated_at = $19, \
         expires_at = $20, version = $21 \
         WHERE id = $1";
    DELETE_SERVICE_TOKEN = "DELETE FROM service_tokens WHERE id = $1";
    FIND_SERVICE_TOKEN = concat!(
        "SELECT ", service_token_columns!(), " FROM service_tokens WHERE id = $1 AND account = $2"
    );
    LIST_SERVICE_TOKENS = concat!(
        "SELECT ", service_token_columns!(), " FROM service_tokens WHERE account = $1 \
         ORDER BY created_at, id LIMIT $2 OFFSET $3"
    );
    COUNT_SERVICE_TOKENS_OF_NAME = "SELECT count(*) FROM service_tokens WHERE account = $1 AND name = $2";
    LIST_SERVICE_TOKENS_OF_NAME = concat!(
        "SELECT ", service_token_columns!(), " FROM service_tokens WHERE account = $1 AND name = $4 \
         ORDER BY created_at, id LIMIT $2 OFFSET $3"
    );
    SEARCH_SERVICE_TOKENS =
        "SELECT id, client_id, name FROM service_tokens WHERE account = $1 AND ($2::text IS NULL OR name = $2) \
         ORDER BY created_at, id";
    LIST_SERVICE_TOKENS_OF_IDS = concat!(
        "SELECT ", service_token_columns!(), " FROM service_tokens WHERE id = ANY($1) ORDER BY created_at, id"
    );
    LOAD_SERVICE_TOKENS = concat!("SELECT ", service_token_columns!(), " FROM service_tokens");

    INSERT_ACCESS_TOKEN = concat!(
        "INSERT INTO access_tokens (", access_token_columns!(), ") VALUES \
         ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) ON CONFLICT DO NOTHING"
    );
    TAKE_ACCESS_TOKEN = "SELECT account, version FROM access_tokens WHERE handle = $1 FOR UPDATE";
    DELETE_ACCESS_TOKEN = "DELETE FROM access_tokens WHERE handle = $1";
    COUNT_EXPIRED_ACCESS_TOKENS =
        "SELECT count(*) FROM access_tokens \
         WHERE expires_at < 9223372036854775807 AND expires_at <= $2 AND account = $1";
    /// A row, when there are more than $3.
    ARE_MORE_EXPIRED =
        "SELECT 1 FROM access_tokens \
         WHERE expires_at < 9223372036854775807 AND expires_at <= $2 AND account = $1 LIMIT 1 OFFSET $3";
    COUNT_LOGINS =
        "SELECT count(*) FROM access_tokens WHERE source = 'login' AND account = $1 AND expires_at > $2 \
         AND epoch >= (SELECT epoch FROM accounts WHERE id = $1)";
    FIND_ACCESS_TOKEN = concat!(
        "SELECT ", access_token_columns!(), " FROM access_tokens WHERE handle = $1"
    );
    LIST_ACCESS_TOKENS = concat!(
        "SELECT ", access_token_columns!(), " FROM access_tokens WHERE account = $1 AND expires_at > $2 \
         ORDER BY created_at, handle LIMIT $3 OFFSET $4"
    );
    LIST_ACCESS_TOKENS_OF_HANDLES = concat!(
        "SELECT ", access_token_columns!(), " FROM access_tokens WHERE handle = ANY($1) AND account = $2 \
         ORDER BY created_at, handle"
    );
    WALK_ACCESS_TOKENS = concat!(
        "SELECT ", access_token_columns!(), " FROM access_tokens \
         WHERE account = $1 AND created_at BETWEEN $2 AND $3 AND expires_at > $4 ORDER BY created_at, handle"
    );
    /// What another node is sweeping is left to it.
    TAKE_EXPIRED_ACCESS_TOKENS =
        "SELECT handle, account, version, lineage FROM access_tokens \
         WHERE expires_at < 9223372036854775807 AND expires_at < $1 ORDER BY expires_at, handle LIMIT $2 \
         FOR UPDATE SKIP LOCKED";
    LOAD_ACCESS_TOKENS = concat!("SELECT ", access_token_columns!(), " FROM access_tokens");

    /// One root token is set after the other, whichever node does it.
    TAKE_ROOT_TOKENS = "LOCK TABLE root_tokens IN SHARE ROW EXCLUSIVE MODE";
    INSERT_ROOT_TOKEN = "INSERT INTO root_tokens (handle) VALUES ($1) ON CONFLICT DO NOTHING";
    ROOT_TOKEN_WAS_SET = "SELECT 1 FROM root_tokens WHERE handle = $1";
    ACCESS_TOKEN_EXISTS = "SELECT 1 FROM access_tokens WHERE handle = $1";
    FIND_ROOT_TOKEN =
        "SELECT handle, (SELECT version FROM access_tokens WHERE access_tokens.handle = root_tokens.handle) \
         FROM root_tokens ORDER BY position DESC LIMIT 1";

    INSERT_CUT = "INSERT INTO cuts (handle) VALUES ($1) ON CONFLICT DO NOTHING";
    COUNT_CUTS = "SELECT count(*) FROM cuts";
    LOAD_CUTS = "SELECT handle FROM cuts";
    LIST_WALKING_CUTS = "SELECT handle FROM cuts WHERE walking";
    BEGIN_CUT_WALK = "UPDATE cuts SET walking = true";
    END_CUT_WALK = "DELETE FROM cuts WHERE walking";
    TAKE_CUT_WALK = "SELECT service_tokens_to, access_tokens_to FROM cut_walk FOR UPDATE";
    SET_CUT_WALK = "UPDATE cut_walk SET service_tokens_to = $1, access_tokens_to = $2";
    LIST_SERVICE_TOKEN_LINEAGES =
        "SELECT id, account, client_id, version, lineage FROM service_tokens \
         WHERE id > coalesce($1, '00000000-0000-0000-0000-000000000000'::uuid) ORDER BY id LIMIT $2";
    LIST_ACCESS_TOKEN_LINEAGES =
        "SELECT handle, account, version, lineage FROM access_tokens \
         WHERE handle > coalesce($1, '') ORDER BY handle LIMIT $2";

    FIND_DELETED = "SELECT id FROM accounts WHERE deleted > 0 AND deleted = $1 LIMIT 1";
    LIST_CHILDREN = "SELECT id FROM accounts WHERE parent = $1 AND deleted = 0 LIMIT $2";
    FIND_CHILD = "SELECT id FROM accounts WHERE parent = $1 LIMIT 1";
    DELETE_ORPHAN =
        "UPDATE accounts SET deleted = 1, email = $2, password = NULL, profile = '{}' WHERE id = $1";
    CHILDREN_ARE_DELETED = "UPDATE accounts SET deleted = 2 WHERE id = $1";
    LIST_SERVICE_TOKENS_OF_DELETED =
        "SELECT id, account, client_id, version, lineage FROM service_tokens WHERE account = $1 LIMIT $2";
    LIST_ACCESS_TOKENS_OF_DELETED =
        "SELECT handle, account, version, lineage FROM access_tokens WHERE account = $1 LIMIT $2";
    LIST_MEMBERSHIPS_OF_DELETED =
        concat!("SELECT ", membership_columns!(), " FROM memberships WHERE account = $1 LIMIT $2");
    FIND_ORGANIZATION_OF_DELETED = "SELECT id FROM organizations WHERE owner = $1 LIMIT 1";
    LIST_MEMBERSHIPS_OF_GONE =
        concat!("SELECT ", membership_columns!(), " FROM memberships WHERE organization = $1 LIMIT $2");
    DELETE_COUNTS = "DELETE FROM account_counts WHERE account = $1";
    DELETE_ACCOUNT = "DELETE FROM accounts WHERE id = $1";
    FIND_EPOCH_SWEEP =
        "SELECT epoch_sweeps.account, epoch_sweeps.created_at, handle, epoch \
         FROM epoch_sweeps JOIN accounts ON accounts.id = epoch_sweeps.account LIMIT 1";
    ADVANCE_EPOCH_SWEEP = "UPDATE epoch_sweeps SET created_at = $2, handle = $3 WHERE account = $1";
    END_EPOCH_SWEEP = "DELETE FROM epoch_sweeps WHERE account = $1";
    LIST_ACCESS_TOKENS_BEHIND =
        "SELECT handle, account, version, epoch, created_at FROM access_tokens \
         WHERE account = $1 AND (created_at, handle) > ($2, $3) ORDER BY created_at, handle LIMIT $4";

    NEXT_REVISIONS = "SELECT nextval('revisions') FROM generate_series(1, (SELECT $1::bigint))";
    LAST_REVISION = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM revisions";
    INSERT_AUDIT = concat!(
        "INSERT INTO audit (", audit_columns!(), ") VALUES \
         ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
    );
    LIST_AUDIT = concat!(
        "SELECT ", audit_columns!(), " FROM audit \
         WHERE revision < $1 AND ($2::uuid IS NULL OR account = $2) AND ($3::text IS NULL OR token = $3) \
         AND ($4::text IS NULL OR action = $4) AND at >= $5 AND at < $6 ORDER BY revision DESC LIMIT $7"
    );
    LIST_OLDEST_AUDIT = "SELECT revision, at FROM audit ORDER BY revision LIMIT $1";
    DELETE_AUDIT = "DELETE FROM audit WHERE revision <= $1";

    /// Gives the tokens of which a row is new: a row that was there before has been locked, which is its `xmax`.
    ADD_USES = concat!(
        "WITH written AS (INSERT INTO uses AS known (", use_columns!(), ") SELECT ", use_columns!(), " \
         FROM unnest((SELECT $1::text[]), (SELECT $2::uuid[]), (SELECT $3::bigint[]), (SELECT $4::bigint[]), \
                     (SELECT $5::bigint[]), (SELECT $6::bigint[]), (SELECT $7::inet[]), (SELECT $8::text[]), \
                     (SELECT $9::text[])) \
             AS added (token, id, secret_version, count, first_at, last_at, address, user_agent, door) WHERE ",
        token_is_held!(),
        " ON CONFLICT (token, secret_version) DO UPDATE SET count = known.count + excluded.count, \
         first_at = least(known.first_at, excluded.first_at), \
         address = CASE WHEN known.last_at <= excluded.last_at THEN excluded.address ELSE known.address END, \
         user_agent = CASE WHEN known.last_at <= excluded.last_at THEN excluded.user_agent ELSE known.user_agent END, \
         door = CASE WHEN known.last_at <= excluded.last_at THEN excluded.door ELSE known.door END, \
         last_at = greatest(known.last_at, excluded.last_at) RETURNING known.token, known.xmax) \
         SELECT token FROM written WHERE xmax = 0"
    );
    FORGET_USES =
        "DELETE FROM uses USING unnest((SELECT $1::text[])) AS asked (token) CROSS JOIN LATERAL \
             (SELECT secret_version FROM uses WHERE uses.token = asked.token \
              ORDER BY secret_version DESC LIMIT 1 OFFSET $2) AS newest \
         WHERE uses.token = asked.token AND uses.secret_version <= newest.secret_version";
    DELETE_USES = "DELETE FROM uses WHERE token = $1";
    LIST_USES = concat!(
        "SELECT ", use_columns!(), " FROM uses WHERE token = ANY($1) ORDER BY token, secret_version DESC"
    );
    LOAD_USED_SECRETS =
        "SELECT uses.token, uses.secret_version, service_tokens.client_id \
         FROM uses LEFT JOIN service_tokens ON service_tokens.id::text = uses.token";
    ADD_REFUSALS = concat!(
        "INSERT INTO refusals AS known (token, minute, reason, count, address) \
         SELECT token, minute, reason, count, address \
         FROM (VALUES ($1::text, $2::uuid, $3::bigint, $4::text, $5::bigint, $6::inet)) \
             AS added (token, id, minute, reason, count, address) WHERE ", token_is_held!(),
        " ON CONFLICT (token, minute, reason) DO UPDATE SET count = known.count + excluded.count, \
         address = excluded.address"
    );
    DELETE_REFUSALS = "DELETE FROM refusals WHERE token = $1";
    LIST_REFUSALS =
        "SELECT token, minute, reason, count, address FROM refusals WHERE token = $1 \
         ORDER BY minute DESC, reason DESC LIMIT 1000";
    SWEEP_REFUSALS =
        "DELETE FROM refusals WHERE (token, minute, reason) IN \
         (SELECT token, minute, reason FROM refusals WHERE minute < $1 \
          ORDER BY minute, token, reason LIMIT $2)";
    ADD_QUOTA_USES =
        "INSERT INTO quota_uses AS known (token, period, first_day, ends_at, used) \
         SELECT token, period, first_day, ends_at, used FROM unnest((SELECT $1::text[]), (SELECT $2::text[]), \
             (SELECT $3::bigint[]), (SELECT $4::bigint[]), (SELECT $5::bigint[])) \
             AS added (token, period, first_day, ends_at, used) \
         ON CONFLICT (token, period, first_day) DO UPDATE SET used = known.used + excluded.used \
         RETURNING known.token, known.period, known.first_day, known.used";
    LOAD_QUOTA_USES =
        "SELECT quota_uses.token, period, first_day, used, service_tokens.client_id \
         FROM quota_uses LEFT JOIN service_tokens ON service_tokens.id::text = quota_uses.token \
         WHERE service_tokens.id IS NOT NULL \
             OR EXISTS (SELECT 1 FROM access_tokens WHERE access_tokens.handle = quota_uses.token)";
    SWEEP_QUOTA_USES =
        "DELETE FROM quota_uses WHERE (token, period, first_day) IN \
         (SELECT token, period, first_day FROM quota_uses WHERE ends_at < $1 \
          ORDER BY ends_at, token, period, first_day LIMIT $2)";
    /// The moment that the transaction sees, the time, and in which history of which database: a failover is another
    /// timeline, a dump that was restored is other files, a backup that was restored another epoch.
    MOMENT = concat!(
        "SELECT pg_current_snapshot()::text, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, ",
        history!()
    );
    ENTER_NODES =
        "INSERT INTO nodes (id, horizon) \
         VALUES (coalesce($1::uuid, gen_random_uuid()), pg_snapshot_xmin(pg_current_snapshot())) \
         ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp(), horizon = excluded.horizon RETURNING id";
    STAY_IN_NODES = "UPDATE nodes SET seen_at = clock_timestamp(), horizon = $2::text::xid8 WHERE id = $1";
    CONFIRM = "UPDATE nodes SET seen_at = clock_timestamp() WHERE id = $1";
    LEAVE_NODES = "DELETE FROM nodes WHERE id = $1";
    ANNOUNCE = "SELECT pg_notify('countersign', $1)";
    /// One node at a time. The number means nothing; nobody else uses it.
    MAY_TIDY = "SELECT pg_try_advisory_xact_lock(27988535495357027)";
    FORGET_NODES = "DELETE FROM nodes WHERE seen_at < clock_timestamp() - interval '10 minutes'";
    FORGET_CHANGES =
        "DELETE FROM feed WHERE position IN ( \
             SELECT position FROM feed WHERE transaction < (SELECT min(horizon) FROM nodes) \
             ORDER BY transaction LIMIT 20000)";
    /// Gives how the transaction is called in the feed.
    LEAVE_CHANGES = concat!(
        "WITH entries AS ( \
             INSERT INTO feed (kind, key, version) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])) \
         SELECT pg_current_xact_id()::text, ", history!()
    );
    LIST_CHANGES =
        "SELECT kind, key, version FROM feed \
         WHERE transaction >= $1::text::xid8 OR transaction = ANY($2::text[]::xid8[]) ORDER BY position LIMIT $3";
    /// In the order asked for.
    LIST_ACCOUNT_FACTS =
        "SELECT accounts.id, parent, enabled, deleted, epoch, version \
         FROM unnest($1::uuid[]) WITH ORDINALITY AS asked (id, place) JOIN accounts ON accounts.id = asked.id \
         ORDER BY place";
    LIST_ORGANIZATION_FACTS = "SELECT id, owner, active, version FROM organizations WHERE id = ANY($1)";
    LIST_MEMBERSHIPS_OF_IDS =
        concat!("SELECT ", membership_columns!(), " FROM memberships WHERE id = ANY($1)");
    LIST_ACCESS_TOKENS_OF_ALL =
        concat!("SELECT ", access_token_columns!(), " FROM access_tokens WHERE handle = ANY($1)");
    PROBE = "SELECT pg_is_in_recovery()";

    INSERT_KEY_GENERATION =
        "INSERT INTO key_generations (number, ed25519_public, ed25519_private, p256_public, p256_private, rsa_public, \
         rsa_private, rsa_certificate, created_at, signs_from, interval_days, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING";
    LOAD_KEY_GENERATIONS =
        "SELECT number, ed25519_public, ed25519_private, p256_public, p256_private, rsa_public, rsa_private, \
         rsa_certificate, created_at, signs_from, interval_days, version FROM key_generations ORDER BY number";
    TAKE_KEY_GENERATION = "SELECT version FROM key_generations WHERE number = $1 FOR UPDATE";
    UPDATE_KEY_INTERVAL = "UPDATE key_generations SET interval_days = $2, version = version + 1 WHERE number = $1";
    DELETE_KEY_GENERATION = "DELETE FROM key_generations WHERE number = $1";

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
    /// Level by level: an account comes after the one it stands below.
    EXPORT_ACCOUNTS = concat!(
        "WITH RECURSIVE tree (account, level) AS ( \
             SELECT id, 0 FROM accounts WHERE parent IS NULL \
             UNION ALL \
             SELECT below.id, level + 1 FROM tree JOIN accounts AS below ON below.parent = tree.account) \
         SELECT ", account_columns!(), " FROM tree JOIN accounts ON accounts.id = tree.account ORDER BY level"
    );
    EXPORT_ORGANIZATIONS = concat!("SELECT ", organization_columns!(), " FROM organizations");
    EXPORT_ROOT_TOKENS = "SELECT handle FROM root_tokens ORDER BY position";
    EXPORT_EPOCH_SWEEPS = "SELECT account FROM epoch_sweeps";
    EXPORT_AUDIT = concat!("SELECT ", audit_columns!(), " FROM audit ORDER BY revision");
    EXPORT_USES = concat!("SELECT ", use_columns!(), " FROM uses");
    EXPORT_REFUSALS = "SELECT token, minute, reason, count, address FROM refusals";
    INSERT_USES = concat!(
        "INSERT INTO uses (", use_columns!(), ") SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], \
         $4::bigint[], $5::bigint[], $6::inet[], $7::text[], $8::text[])"
    );
    INSERT_REFUSALS =
        "INSERT INTO refusals (token, minute, reason, count, address) \
         SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::inet[])";
    /// Who writes waits; who reads does not.
    TAKE_EVERYTHING =
        "LOCK TABLE accounts, account_counts, organizations, memberships, service_tokens, access_tokens, root_tokens, \
         epoch_sweeps, cuts, cut_walk, audit, uses, refusals, key_generations, feed IN EXCLUSIVE MODE";
    /// What is counted apart, from what is there.
    COUNT_OF_ACCOUNTS =
        "INSERT INTO account_counts (account, service_tokens, access_tokens, children, memberships) \
         SELECT accounts.id, coalesce(s.held, 0), coalesce(a.held, 0), coalesce(c.held, 0), coalesce(m.held, 0) \
         FROM accounts \
         LEFT JOIN (SELECT account AS of, count(*) AS held FROM service_tokens GROUP BY account) AS s ON s.of = id \
         LEFT JOIN (SELECT account AS of, count(*) AS held FROM access_tokens GROUP BY account) AS a ON a.of = id \
         LEFT JOIN (SELECT parent AS of, count(*) AS held FROM accounts WHERE deleted = 0 GROUP BY parent) AS c \
             ON c.of = id \
         LEFT JOIN (SELECT account AS of, count(*) AS held FROM memberships WHERE consent = 'given' GROUP BY account) \
             AS m ON m.of = id";
    COUNT_OF_ORGANIZATIONS =
        "UPDATE organizations SET memberships = m.held \
         FROM (SELECT organization, count(*) AS held FROM memberships GROUP BY organization) AS m \
         WHERE m.organization = organizations.id";
    /// Forwards only: a revision is never used twice.
    SET_REVISION =
        "SELECT setval('revisions', greatest($1, (SELECT last_value FROM revisions)))";
    IS_AUDITED = "SELECT 1 FROM audit WHERE id = $1";
    NEW_EPOCH = "UPDATE identity SET epoch = gen_random_uuid()";
}
