-- How often a token may be used, such as `10/s;burst=20 1000/day`. NULL: as often as anybody likes. Programs of before, which
-- do not know of it, let such a token be used without limits.

ALTER TABLE service_tokens ADD COLUMN limits text;
ALTER TABLE access_tokens ADD COLUMN limits text;

-- What was used of quotas: in the day or month that begins so many days after 1970. Nodes add to the same rows. Half of each
-- page is left free, so that what changes every second stays in its page.
CREATE TABLE quota_uses (
    token text COLLATE "C" NOT NULL,
    period text NOT NULL,
    first_day bigint NOT NULL,
    ends_at bigint NOT NULL,
    used bigint NOT NULL,
    PRIMARY KEY (token, period, first_day)
) WITH (fillfactor = 50);

CREATE INDEX quota_uses_by_end ON quota_uses (ends_at);
