-- Accounts that log in, stand in a tree and end; organizations and who belongs to them; tokens that know from which
-- tokens they stem.

ALTER TABLE accounts ADD COLUMN password TEXT;
-- What it says of itself: a JSON object that nothing here reads.
ALTER TABLE accounts ADD COLUMN profile TEXT NOT NULL DEFAULT '{}';
-- It and everything below it wait to be swept. 1: what is below it is not marked yet; 2: it is.
ALTER TABLE accounts ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1, 2));
-- Access tokens of an earlier one have ended.
ALTER TABLE accounts ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
-- How many accounts are directly below it, and to how many organizations it belongs.
ALTER TABLE accounts ADD COLUMN children INTEGER NOT NULL DEFAULT 0 CHECK (children >= 0);
ALTER TABLE accounts ADD COLUMN memberships INTEGER NOT NULL DEFAULT 0 CHECK (memberships >= 0);

UPDATE accounts SET
    updated_at = created_at,
    email = lower(email),
    children = (SELECT count(*) FROM accounts AS below WHERE below.parent = accounts.id);

DROP INDEX accounts_parent;
CREATE INDEX accounts_by_parent ON accounts (parent, deleted, created_at, id) WHERE parent IS NOT NULL;
CREATE INDEX accounts_deleted ON accounts (deleted, id) WHERE deleted > 0;

CREATE TABLE organizations (
    id BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    owner BLOB NOT NULL REFERENCES accounts (id),
    profile TEXT NOT NULL,
    active INTEGER NOT NULL CHECK (active IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    -- How many accounts belong to it.
    memberships INTEGER NOT NULL DEFAULT 0 CHECK (memberships >= 0)
) STRICT, WITHOUT ROWID;

CREATE INDEX organizations_by_owner ON organizations (owner);

CREATE TABLE memberships (
    id BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    organization BLOB NOT NULL REFERENCES organizations (id),
    account BLOB NOT NULL REFERENCES accounts (id),
    role TEXT NOT NULL,
    consent TEXT NOT NULL,
    disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    UNIQUE (account, organization)
) STRICT, WITHOUT ROWID;

CREATE INDEX memberships_by_organization ON memberships (organization, created_at, id);

-- The access tokens from which a token stems, the oldest first, 22 bytes each; the last one minted it.
ALTER TABLE service_tokens RENAME COLUMN minted_by TO lineage;
ALTER TABLE access_tokens RENAME COLUMN minted_by TO lineage;
-- The organizations in which a token may be used, separated by blanks. NULL: all of its account; the empty text: none.
ALTER TABLE service_tokens ADD COLUMN organizations TEXT;
ALTER TABLE access_tokens ADD COLUMN organizations TEXT;

ALTER TABLE access_tokens ADD COLUMN name TEXT;
ALTER TABLE access_tokens ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE access_tokens ADD COLUMN source TEXT NOT NULL DEFAULT 'issued';

UPDATE access_tokens SET source = 'root' WHERE handle IN (SELECT handle FROM root_tokens);

-- For the limit of what comes from logging in.
CREATE INDEX access_tokens_of_logins ON access_tokens (account, expires_at, epoch) WHERE source = 'login';

-- Accounts whose access tokens of earlier epochs are being swept, and the last token that was looked at.
CREATE TABLE epoch_sweeps (
    account BLOB PRIMARY KEY NOT NULL REFERENCES accounts (id),
    created_at INTEGER NOT NULL,
    handle BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Access tokens that were ended with their descendants, and whether those are being swept. What comes meanwhile waits for
-- the next walk through the tokens, of which the last rows that were looked at are kept.
CREATE TABLE cuts (
    handle BLOB PRIMARY KEY NOT NULL CHECK (length(handle) = 22),
    walking INTEGER NOT NULL DEFAULT 0 CHECK (walking IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE INDEX cuts_walking ON cuts (handle) WHERE walking = 1;

CREATE TABLE cut_walk (
    service_tokens_to INTEGER NOT NULL,
    access_tokens_to INTEGER NOT NULL
) STRICT;

INSERT INTO cut_walk VALUES (0, 0);
