-- Ids and handles are BLOBs (16 and 22 bytes), times are microseconds since 1970, text compares byte for byte.

CREATE TABLE accounts (
    id BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    parent BLOB REFERENCES accounts (id),
    email TEXT NOT NULL UNIQUE,
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    -- How many rows the account has in the two tables below: a limit and a total must not cost a count.
    service_tokens INTEGER NOT NULL DEFAULT 0 CHECK (service_tokens >= 0),
    access_tokens INTEGER NOT NULL DEFAULT 0 CHECK (access_tokens >= 0)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX accounts_one_root ON accounts (parent IS NULL) WHERE parent IS NULL;
CREATE INDEX accounts_parent ON accounts (parent) WHERE parent IS NOT NULL;

-- Not WITHOUT ROWID: rows are wide, and appending in order of creation keeps 1,000,000 of them in a shallow tree.
-- The client id has no index: it is looked up in memory only, and is 128 random bits.
CREATE TABLE service_tokens (
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    account BLOB NOT NULL REFERENCES accounts (id),
    client_id BLOB NOT NULL CHECK (length(client_id) = 16),
    name TEXT NOT NULL,
    lifetime TEXT NOT NULL,
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    scopes TEXT,
    secret_version INTEGER NOT NULL,
    secret_digest BLOB NOT NULL CHECK (length(secret_digest) = 32),
    secret_created_at INTEGER NOT NULL,
    rotated_by BLOB,
    previous_version INTEGER,
    previous_digest BLOB CHECK (length(previous_digest) = 32),
    previous_created_at INTEGER,
    previous_replaced_at INTEGER,
    previous_expires_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    minted_by BLOB,
    version INTEGER NOT NULL,
    CHECK ((previous_version IS NULL) = (previous_digest IS NULL))
) STRICT;

CREATE INDEX service_tokens_by_creation ON service_tokens (account, created_at, id);
CREATE INDEX service_tokens_by_name ON service_tokens (account, name, created_at, id);

-- The index service_tokens_by_creation cut into pages of at most 2,048 tokens: each row says where a page begins
-- and how many tokens it has. To find the 900,000th token is to add up some hundred numbers.
CREATE TABLE service_token_pages (
    account BLOB NOT NULL REFERENCES accounts (id),
    first_created_at INTEGER NOT NULL,
    first_id BLOB NOT NULL,
    tokens INTEGER NOT NULL CHECK (tokens >= 0),
    PRIMARY KEY (account, first_created_at, first_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE access_tokens (
    handle BLOB NOT NULL UNIQUE CHECK (length(handle) = 22),
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    account BLOB NOT NULL REFERENCES accounts (id),
    ttl INTEGER NOT NULL,
    scopes TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    minted_by BLOB,
    version INTEGER NOT NULL
) STRICT;

-- With the expiry, so that a page far behind is found without a look at the tokens before it.
CREATE INDEX access_tokens_by_creation ON access_tokens (account, created_at, handle, expires_at);
-- For the sweep and for the count of the expired, which are few. The number is Timestamp::NEVER.
CREATE INDEX access_tokens_by_expiry ON access_tokens (expires_at, handle, account)
WHERE expires_at < 9223372036854775807;

-- Every root token that was ever set; the last one is in force. A handle is remembered for ever.
CREATE TABLE root_tokens (
    position INTEGER PRIMARY KEY,
    handle BLOB NOT NULL UNIQUE CHECK (length(handle) = 22)
) STRICT;

-- The revision of a change is the key of its audit record; it is never used twice.
CREATE TABLE audit (
    revision INTEGER PRIMARY KEY,
    id BLOB NOT NULL CHECK (length(id) = 16),
    at INTEGER NOT NULL,
    actor_account BLOB,
    actor_handle BLOB,
    action TEXT NOT NULL,
    account BLOB NOT NULL,
    subject_account BLOB,
    token BLOB,
    address BLOB,
    request_id TEXT,
    changes TEXT,
    CHECK ((actor_account IS NULL) = (actor_handle IS NULL)),
    CHECK ((subject_account IS NULL) <> (token IS NULL))
) STRICT;

CREATE INDEX audit_by_account ON audit (account, revision);
-- What is known of each 1,024 revisions that are complete: the earliest and the latest time, and four bytes of each
-- token's id. It takes the place of indexes by time and by token (see src/audit/spans.rs).
CREATE TABLE audit_spans (
    span INTEGER PRIMARY KEY,
    earliest INTEGER NOT NULL,
    latest INTEGER NOT NULL,
    tokens BLOB NOT NULL
) STRICT;

-- The last revision that has no audit record: of a sweep.
CREATE TABLE last_sweep (
    revision INTEGER NOT NULL
) STRICT;

INSERT INTO last_sweep (revision) VALUES (0);

CREATE TABLE uses (
    token BLOB NOT NULL,
    secret_version INTEGER NOT NULL,
    count INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    address BLOB,
    user_agent TEXT NOT NULL,
    door TEXT NOT NULL,
    PRIMARY KEY (token, secret_version)
) STRICT, WITHOUT ROWID;

CREATE TABLE refusals (
    token BLOB NOT NULL,
    minute INTEGER NOT NULL,
    reason TEXT NOT NULL,
    count INTEGER NOT NULL,
    address BLOB,
    PRIMARY KEY (token, minute, reason)
) STRICT, WITHOUT ROWID;

CREATE INDEX refusals_by_minute ON refusals (minute);
