-- The keys that sign short-lived tokens. Private halves are sealed under a key that is not in here.

CREATE TABLE key_generations (
    number INTEGER PRIMARY KEY,
    ed25519_public BLOB NOT NULL,
    ed25519_private BLOB NOT NULL,
    p256_public BLOB NOT NULL,
    p256_private BLOB NOT NULL,
    rsa_public BLOB NOT NULL,
    rsa_private BLOB NOT NULL,
    rsa_certificate BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    signs_from INTEGER NOT NULL,
    interval_days INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT;
