-- What proxies made of requests: a window of observations, of which the oldest go first. Who told
-- it stands in the row, since a node may be forgotten meanwhile. `scope` is whose the route was
-- when it was told; `bytes` is what the row counts for; `body` and `story` are JSON.
CREATE TABLE decisions (
    node TEXT NOT NULL,
    span TEXT NOT NULL,
    cluster TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    request TEXT NOT NULL,
    trace TEXT NOT NULL,
    link TEXT,
    at BIGINT NOT NULL,
    reason TEXT NOT NULL,
    scope TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    body TEXT NOT NULL,
    story TEXT,
    PRIMARY KEY (node, span)
);
CREATE INDEX decisions_by_request ON decisions (request);
CREATE INDEX decisions_by_trace ON decisions (trace);
CREATE INDEX decisions_by_link ON decisions (link);
CREATE INDEX decisions_by_time ON decisions (at, span, node, bytes);
