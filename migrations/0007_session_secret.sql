-- The secrets of which those are drawn by which gateways seal sessions, each of a day. `begins` is since
-- when it seals; it is told before, and opens for a while after the next one began.
CREATE TABLE session_secrets (
    id TEXT PRIMARY KEY,
    begins BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    sealed BYTEA NOT NULL
);
