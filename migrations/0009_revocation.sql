-- Who is shut out before their credentials end, and browsers that logged out. Each change moves the one
-- number first, so that whoever follows asks for what came behind what it knows.
CREATE TABLE revocation_counter (
    id BIGINT PRIMARY KEY,
    number BIGINT NOT NULL
);
INSERT INTO revocation_counter (id, number) VALUES (1, 0);

-- `whom` is JSON. What was proved before `proved_before` alone does not count, where that is said; `ends` is
-- when it is over by itself.
CREATE TABLE revocations (
    id TEXT PRIMARY KEY,
    whom TEXT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    note TEXT NOT NULL,
    proved_before BIGINT,
    ends BIGINT
);

-- `ends` is when a session would have been over in any case.
CREATE TABLE ended_sessions (
    cluster TEXT NOT NULL,
    session TEXT NOT NULL,
    ends BIGINT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (cluster, session)
);
CREATE INDEX ended_sessions_by_number ON ended_sessions (number);
CREATE INDEX ended_sessions_by_end ON ended_sessions (cluster, ends);
