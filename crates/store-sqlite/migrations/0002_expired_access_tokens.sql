-- Each list of access tokens, and each new one at the limit, counts the expired ones of its account: not of all accounts.

DROP INDEX access_tokens_by_expiry;

-- For the sweep. The number is Timestamp::NEVER.
CREATE INDEX access_tokens_by_expiry ON access_tokens (expires_at, handle)
WHERE expires_at < 9223372036854775807;
-- For the counts.
CREATE INDEX access_tokens_of_account_by_expiry ON access_tokens (account, expires_at)
WHERE expires_at < 9223372036854775807;
