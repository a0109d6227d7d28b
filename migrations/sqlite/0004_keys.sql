-- API keys, and secrets that are encrypted at rest.

-- The key that `auth_token` is encrypted with; none: it is in clear, which the next start mends.
ALTER TABLE accounts ADD COLUMN auth_token_key TEXT;

CREATE TABLE api_keys (
    sid TEXT NOT NULL PRIMARY KEY,
    account_sid TEXT NOT NULL REFERENCES accounts (sid),
    friendly_name TEXT NOT NULL,
    -- Encrypted.
    secret TEXT NOT NULL,
    -- The key that `secret` is encrypted with.
    secret_key TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX api_keys_by_account ON api_keys (account_sid, created_at, sid);
