-- Beside the scopes of a token: the requests it may be used for (patterns, one a line) and the addresses it may be used
-- from (networks, separated by blanks). NULL: all of them; the empty text: none.

ALTER TABLE service_tokens ADD COLUMN resources TEXT;
ALTER TABLE service_tokens ADD COLUMN allowed_ips TEXT;
ALTER TABLE access_tokens ADD COLUMN resources TEXT;
ALTER TABLE access_tokens ADD COLUMN allowed_ips TEXT;
