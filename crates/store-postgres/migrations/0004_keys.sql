-- The keys that sign short-lived tokens. Private halves are sealed under a key that is not in here.

CREATE TABLE key_generations (
    number bigint PRIMARY KEY,
    ed25519_public bytea NOT NULL,
    ed25519_private bytea NOT NULL,
    p256_public bytea NOT NULL,
    p256_private bytea NOT NULL,
    rsa_public bytea NOT NULL,
    rsa_private bytea NOT NULL,
    rsa_certificate bytea NOT NULL,
    created_at bigint NOT NULL,
    signs_from bigint NOT NULL,
    interval_days bigint NOT NULL,
    version bigint NOT NULL
);
