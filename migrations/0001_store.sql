-- The first schema. One text for SQLite and PostgreSQL: TEXT, BIGINT (times are microseconds since
-- 1970, booleans 0 or 1) and BYTEA. Migrations only add.

-- One row. Each commit moves it first, so the order of revisions is the order of commits.
CREATE TABLE counter (
    id BIGINT PRIMARY KEY,
    revision BIGINT NOT NULL
);
INSERT INTO counter (id, revision) VALUES (1, 0);

-- The revision that last changed something in a scope.
CREATE TABLE scopes (
    scope TEXT PRIMARY KEY,
    revision BIGINT NOT NULL
);

CREATE TABLE revisions (
    revision BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    request_id TEXT NOT NULL,
    message TEXT NOT NULL,
    reverts BIGINT
);

-- The scopes that a revision moved, and where each was before.
CREATE TABLE revision_scopes (
    revision BIGINT NOT NULL REFERENCES revisions (revision),
    scope TEXT NOT NULL,
    base BIGINT NOT NULL,
    PRIMARY KEY (revision, scope)
);
CREATE INDEX revision_scopes_by_scope ON revision_scopes (scope, revision);

-- What is, as of the last revision.
CREATE TABLE resources (
    cluster TEXT NOT NULL,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    owner_team TEXT NOT NULL,
    source TEXT NOT NULL,
    generation BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    digest TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (cluster, kind, namespace, name)
);
CREATE INDEX resources_by_scope ON resources (scope, cluster, kind, namespace, name);

CREATE TABLE labels (
    cluster TEXT NOT NULL,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    label TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (cluster, kind, namespace, name, label),
    FOREIGN KEY (cluster, kind, namespace, name)
        REFERENCES resources (cluster, kind, namespace, name)
);
CREATE INDEX labels_by_value ON labels (label, value);

-- What a resource names, and at which path; the named one need not be there.
CREATE TABLE refs (
    cluster TEXT NOT NULL,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    path TEXT NOT NULL,
    to_kind TEXT NOT NULL,
    to_namespace TEXT NOT NULL,
    to_name TEXT NOT NULL,
    PRIMARY KEY (cluster, kind, namespace, name, path),
    FOREIGN KEY (cluster, kind, namespace, name)
        REFERENCES resources (cluster, kind, namespace, name)
);
CREATE INDEX refs_by_target ON refs (cluster, to_kind, to_namespace, to_name);

-- Who holds what role where, as Grant resources say it.
CREATE TABLE grants (
    cluster TEXT NOT NULL,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    subject TEXT NOT NULL,
    role TEXT NOT NULL,
    scope TEXT NOT NULL,
    PRIMARY KEY (cluster, kind, namespace, name, subject, role, scope),
    FOREIGN KEY (cluster, kind, namespace, name)
        REFERENCES resources (cluster, kind, namespace, name)
);
CREATE INDEX grants_by_subject ON grants (subject);

-- What a workspace holds for itself alone. `sort` is host, service or port; `host` is the host
-- name, the service's name or the port; `path` is a prefix below a host, else empty.
CREATE TABLE claims (
    sort TEXT NOT NULL,
    host TEXT NOT NULL,
    path TEXT NOT NULL,
    workspace TEXT NOT NULL,
    cluster TEXT NOT NULL,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (sort, host, path),
    FOREIGN KEY (cluster, kind, namespace, name)
        REFERENCES resources (cluster, kind, namespace, name)
);
CREATE INDEX claims_by_resource ON claims (cluster, kind, namespace, name);

-- What was, one row for each change of a resource. `verb` is put or delete; a deletion has no body
-- and the generation that it ended.
CREATE TABLE history (
    cluster TEXT NOT NULL,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    revision BIGINT NOT NULL REFERENCES revisions (revision),
    generation BIGINT NOT NULL,
    verb TEXT NOT NULL,
    scope TEXT NOT NULL,
    owner_team TEXT NOT NULL,
    source TEXT NOT NULL,
    digest TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (cluster, kind, namespace, name, revision)
);
CREATE INDEX history_by_revision ON history (revision);
CREATE INDEX history_by_scope ON history (scope, revision);

-- Values of Secrets, which stand in no body. Each row is sealed to its own key.
CREATE TABLE sealed (
    cluster TEXT NOT NULL,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    generation BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (cluster, kind, namespace, name, generation)
);
CREATE INDEX sealed_by_key_id ON sealed (key_id);

-- Who did what. `changes` is the digest over what that revision wrote; `hash` is over
-- `previous` and every other column.
CREATE TABLE audit (
    seq BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    verb TEXT NOT NULL,
    object TEXT NOT NULL,
    outcome TEXT NOT NULL,
    revision BIGINT,
    detail TEXT NOT NULL,
    changes TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE INDEX audit_by_revision ON audit (revision);
CREATE INDEX audit_by_object ON audit (object, seq);

-- One row: the last audit row, so that a cut tail is seen.
CREATE TABLE audit_head (
    id BIGINT PRIMARY KEY,
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL
);
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '');

-- The first answer to a request that may be sent twice.
CREATE TABLE idempotency (
    actor TEXT NOT NULL,
    request_key TEXT NOT NULL,
    at BIGINT NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (actor, request_key)
);

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    password TEXT,
    disabled BIGINT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);

-- `id` is the SHA-256 of the cookie, which itself is nowhere.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    agent TEXT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT,
    revoked BIGINT,
    seen BIGINT
);
CREATE INDEX tokens_by_user ON tokens (user_id);

CREATE TABLE join_tokens (
    id TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    cluster TEXT NOT NULL,
    kind TEXT NOT NULL,
    pattern TEXT NOT NULL,
    uses_left BIGINT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    revoked BIGINT
);

CREATE TABLE nodes (
    id TEXT PRIMARY KEY,
    cluster TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    serial TEXT,
    certificate_expires BIGINT,
    connected BIGINT NOT NULL,
    UNIQUE (cluster, kind, name)
);

-- The vector that a node runs.
CREATE TABLE node_scopes (
    node TEXT NOT NULL REFERENCES nodes (id),
    scope TEXT NOT NULL,
    revision BIGINT NOT NULL,
    applied_at BIGINT NOT NULL,
    PRIMARY KEY (node, scope)
);

-- Certificate authorities; `kind` is root or intermediate.
CREATE TABLE authorities (
    id TEXT PRIMARY KEY,
    cluster TEXT NOT NULL,
    kind TEXT NOT NULL,
    certificate TEXT NOT NULL,
    key_id TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    state TEXT NOT NULL
);
CREATE INDEX authorities_by_cluster ON authorities (cluster);
