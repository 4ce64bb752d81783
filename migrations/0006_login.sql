-- Users who come from a login provider, each known by what the provider calls them under that issuer
-- and never by a name. `told` is the groups that it said last: JSON.
CREATE TABLE identities (
    provider TEXT NOT NULL,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id TEXT NOT NULL UNIQUE REFERENCES users (id),
    told TEXT NOT NULL,
    created BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    PRIMARY KEY (provider, issuer, subject)
);

-- Browsers that went to a login provider and are not back yet. `id` is the SHA-256 of the `state`
-- that comes back with them, `browser` that of their cookie; nothing here lets anybody in.
CREATE TABLE logins (
    id TEXT PRIMARY KEY,
    browser TEXT NOT NULL,
    provider TEXT NOT NULL,
    origin TEXT NOT NULL,
    wanted TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX logins_by_time ON logins (created);
