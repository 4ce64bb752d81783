-- Who asked for what they may not do, and what came of it. `field` is empty where the verb itself
-- was refused; `state` is open, granted, refused or withdrawn; `revision` made the grant.
CREATE TABLE access_requests (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    user_name TEXT NOT NULL,
    scope TEXT NOT NULL,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    verb TEXT NOT NULL,
    field TEXT NOT NULL,
    message TEXT NOT NULL,
    created BIGINT NOT NULL,
    state TEXT NOT NULL,
    decided BIGINT,
    decided_by TEXT,
    answer TEXT NOT NULL,
    revision BIGINT
);
CREATE INDEX access_requests_by_user ON access_requests (user_id, state);
CREATE INDEX access_requests_by_time ON access_requests (created, id);
