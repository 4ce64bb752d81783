-- The keys of issuers, as they were fetched last. `fetched` is when `keys` were; `tried` is when somebody last went
-- for them, `failures` how often since then in vain, and `fault` why.
CREATE TABLE key_sets (
    url TEXT PRIMARY KEY,
    keys TEXT,
    fetched BIGINT,
    tried BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    fault TEXT
);
