-- An account's number of memberships is that of those it agrees to: strangers who invite it take nothing from it.

UPDATE accounts SET
    memberships = (SELECT count(*) FROM memberships WHERE account = accounts.id AND consent = 'given');

CREATE INDEX memberships_by_account ON memberships (account, created_at, id);
