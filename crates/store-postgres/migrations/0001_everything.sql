-- Ids are UUIDs, handles are their 22 characters, times are microseconds since 1970, text compares byte for byte.
--
-- Tokens, memberships and counts name their accounts without a foreign key: whoever adds something to an account holds
-- its row (see src/accounts.rs), and a key would look it up and mark it once more for each token.

CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    parent uuid REFERENCES accounts (id),
    email text COLLATE "C" NOT NULL UNIQUE,
    password text,
    -- What it says of itself: a JSON object that nothing here reads.
    profile text NOT NULL,
    enabled boolean NOT NULL,
    -- It and everything below it wait to be swept. 1: what is below it is not marked yet; 2: it is.
    deleted smallint NOT NULL CHECK (deleted IN (0, 1, 2)),
    -- Access tokens of an earlier one have ended.
    epoch bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    version bigint NOT NULL
);

CREATE UNIQUE INDEX accounts_one_root ON accounts ((parent IS NULL)) WHERE parent IS NULL;
CREATE INDEX accounts_by_parent ON accounts (parent, deleted, created_at, id) WHERE parent IS NOT NULL;
CREATE INDEX accounts_deleted ON accounts (deleted, id) WHERE deleted > 0;

-- How many of each an account has: a limit and a total must not cost a count. Apart from the account's own row, which
-- every guard of its tokens holds on to.
CREATE TABLE account_counts (
    account uuid PRIMARY KEY,
    service_tokens bigint NOT NULL DEFAULT 0 CHECK (service_tokens >= 0),
    access_tokens bigint NOT NULL DEFAULT 0 CHECK (access_tokens >= 0),
    children bigint NOT NULL DEFAULT 0 CHECK (children >= 0),
    -- Of organizations, those that it agrees to.
    memberships bigint NOT NULL DEFAULT 0 CHECK (memberships >= 0)
) WITH (fillfactor = 50);

CREATE TABLE organizations (
    id uuid PRIMARY KEY,
    owner uuid NOT NULL,
    profile text NOT NULL,
    active boolean NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    version bigint NOT NULL,
    -- How many accounts belong to it, or were asked to.
    memberships bigint NOT NULL DEFAULT 0 CHECK (memberships >= 0)
);

CREATE INDEX organizations_by_owner ON organizations (owner);

CREATE TABLE memberships (
    id uuid PRIMARY KEY,
    organization uuid NOT NULL,
    account uuid NOT NULL,
    role text NOT NULL,
    consent text NOT NULL,
    disabled boolean NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    version bigint NOT NULL,
    UNIQUE (account, organization)
);

CREATE INDEX memberships_by_organization ON memberships (organization, created_at, id);
CREATE INDEX memberships_by_account ON memberships (account, created_at, id);

-- Lists that restrict are joined as the domain joins them. NULL: no list; the empty text: nothing.
CREATE TABLE service_tokens (
    id uuid PRIMARY KEY,
    account uuid NOT NULL,
    client_id uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    lifetime text NOT NULL,
    enabled boolean NOT NULL,
    scopes text,
    organizations text,
    resources text,
    allowed_ips text,
    secret_version bigint NOT NULL,
    secret_digest bytea NOT NULL CHECK (length(secret_digest) = 32),
    secret_created_at bigint NOT NULL,
    rotated_by text,
    previous_version bigint,
    previous_digest bytea CHECK (length(previous_digest) = 32),
    previous_created_at bigint,
    previous_replaced_at bigint,
    previous_expires_at bigint,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    -- The access tokens from which it stems, the oldest first, 22 bytes each.
    lineage bytea,
    version bigint NOT NULL,
    CHECK ((previous_version IS NULL) = (previous_digest IS NULL))
);

CREATE INDEX service_tokens_by_creation ON service_tokens (account, created_at, id);
CREATE INDEX service_tokens_by_name ON service_tokens (account, name, created_at, id);

CREATE TABLE access_tokens (
    handle text COLLATE "C" PRIMARY KEY,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    account uuid NOT NULL,
    name text,
    ttl bigint NOT NULL,
    scopes text,
    organizations text,
    resources text,
    allowed_ips text,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    source text NOT NULL,
    lineage bytea,
    epoch bigint NOT NULL,
    -- Its text, encrypted under a key that is not in here; only where the deployment lists texts.
    sealed bytea,
    version bigint NOT NULL
);

-- With the expiry, so that a page far behind is found without a look at the tokens before it.
CREATE INDEX access_tokens_by_creation ON access_tokens (account, created_at, handle) INCLUDE (expires_at);
-- For the sweep and for the counts of the expired. The number is Timestamp::NEVER.
CREATE INDEX access_tokens_by_expiry ON access_tokens (expires_at, handle)
WHERE expires_at < 9223372036854775807;
CREATE INDEX access_tokens_of_account_by_expiry ON access_tokens (account, expires_at)
WHERE expires_at < 9223372036854775807;
-- For the limit of what comes from logging in.
CREATE INDEX access_tokens_of_logins ON access_tokens (account, expires_at, epoch) WHERE source = 'login';

-- Every root token that was ever set; the last one is in force. A handle is remembered for ever.
CREATE TABLE root_tokens (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    handle text COLLATE "C" NOT NULL UNIQUE
);

-- Accounts whose access tokens of earlier epochs are being swept, and the last token that was looked at.
CREATE TABLE epoch_sweeps (
    account uuid PRIMARY KEY,
    created_at bigint NOT NULL,
    handle text COLLATE "C" NOT NULL
);

-- Access tokens that were ended with their descendants, and whether those are being swept. What comes meanwhile waits for
-- the next walk through the tokens, of which the last rows that were looked at are kept.
CREATE TABLE cuts (
    handle text COLLATE "C" PRIMARY KEY,
    walking boolean NOT NULL DEFAULT false
);

CREATE TABLE cut_walk (
    service_tokens_to uuid,
    access_tokens_to text COLLATE "C"
);

INSERT INTO cut_walk VALUES (NULL, NULL);

-- Taken by each change, in the order of its node's commits; between nodes, in an order near that of commits.
CREATE SEQUENCE revisions AS bigint;

CREATE TABLE audit (
    revision bigint PRIMARY KEY,
    -- By which the outcome of a commit is found out whose connection broke.
    id uuid NOT NULL UNIQUE,
    at bigint NOT NULL,
    actor_account uuid,
    actor_handle text,
    action text NOT NULL,
    account uuid NOT NULL,
    subject_account uuid,
    token text COLLATE "C",
    address inet,
    request_id text,
    fields text[] NOT NULL,
    befores text[] NOT NULL,
    afters text[] NOT NULL,
    CHECK ((actor_account IS NULL) = (actor_handle IS NULL)),
    CHECK ((subject_account IS NULL) <> (token IS NULL))
);

CREATE INDEX audit_by_account ON audit (account, revision);
CREATE INDEX audit_by_token ON audit (token, revision) WHERE token IS NOT NULL;
CREATE INDEX audit_by_time ON audit USING brin (at);

CREATE TABLE uses (
    token text COLLATE "C" NOT NULL,
    secret_version bigint NOT NULL,
    count bigint NOT NULL,
    first_at bigint NOT NULL,
    last_at bigint NOT NULL,
    address inet,
    user_agent text NOT NULL,
    door text NOT NULL,
    PRIMARY KEY (token, secret_version)
);

CREATE TABLE refusals (
    token text COLLATE "C" NOT NULL,
    minute bigint NOT NULL,
    reason text COLLATE "C" NOT NULL,
    count bigint NOT NULL,
    address inet,
    PRIMARY KEY (token, minute, reason)
);

CREATE INDEX refusals_by_minute ON refusals (minute);

-- What means something for the doors: which facts were changed, by which transaction. Nodes read what they have not seen,
-- and the facts as they are then. Positions are in the order of a node's changes.
CREATE TABLE feed (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
    kind text NOT NULL,
    key text COLLATE "C" NOT NULL,
    -- Of a credential that is gone: its row is, too.
    version bigint
);

CREATE INDEX feed_by_transaction ON feed (transaction);

-- Who follows the feed. What the one that is furthest behind has not seen yet is kept for it.
CREATE TABLE nodes (
    id uuid PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- All transactions before this one were seen.
    horizon xid8 NOT NULL
) WITH (fillfactor = 50);

-- One row. Another epoch = a backup was restored: what a node knows belongs to another history.
CREATE TABLE identity (
    is_one boolean PRIMARY KEY DEFAULT true CHECK (is_one),
    epoch uuid NOT NULL DEFAULT gen_random_uuid()
);

INSERT INTO identity DEFAULT VALUES;
