-- How often a token may be used, such as `10/s;burst=20 1000/day`. NULL: as often as anybody likes.

ALTER TABLE service_tokens ADD COLUMN limits TEXT;
ALTER TABLE access_tokens ADD COLUMN limits TEXT;

-- What was used of quotas: in the day or month that begins so many days after 1970. Written behind everything else.
CREATE TABLE quota_uses (
    token BLOB NOT NULL,
    period TEXT NOT NULL,
    first_day INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (token, period, first_day)
) STRICT, WITHOUT ROWID;

CREATE INDEX quota_uses_by_end ON quota_uses (ends_at);
