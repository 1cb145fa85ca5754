-- The coordinator's own state. No secret stands here: a token is its SHA-256, a key is its SHA-256.
-- Times are RFC 3339 text in UTC, which sorts by age.

CREATE TABLE installation (
    id          TEXT PRIMARY KEY,
    created_at  TEXT NOT NULL
) STRICT;

CREATE TABLE sessions (
    id               TEXT PRIMARY KEY,
    kind             TEXT NOT NULL,
    state            TEXT NOT NULL,
    step             TEXT NOT NULL DEFAULT '',
    epoch            INTEGER NOT NULL DEFAULT 0,
    policy           TEXT NOT NULL DEFAULT '',
    resource         TEXT NOT NULL,
    lock_key         TEXT,
    request          TEXT NOT NULL,
    workflow_version TEXT NOT NULL,
    idempotency_key  TEXT UNIQUE,
    point_id         TEXT,
    progress         TEXT,
    outcome          TEXT,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    cancel_reason    TEXT NOT NULL DEFAULT '',
    created_at       TEXT NOT NULL,
    started_at       TEXT,
    ended_at         TEXT
) STRICT;
CREATE INDEX sessions_by_state ON sessions (state);
CREATE INDEX sessions_by_age ON sessions (created_at);

CREATE TABLE session_events (
    session   TEXT NOT NULL REFERENCES sessions (id),
    sequence  INTEGER NOT NULL,
    at        TEXT NOT NULL,
    severity  TEXT NOT NULL,
    text      TEXT NOT NULL,
    PRIMARY KEY (session, sequence)
) STRICT;

-- One session at a time touches a DB instance's groups and snapshots.
CREATE TABLE instance_locks (
    instance  TEXT PRIMARY KEY,
    session   TEXT NOT NULL UNIQUE REFERENCES sessions (id)
) STRICT;

-- Every account and Region a session has ever worked in: where the reaper looks, and how teardown gets in.
CREATE TABLE places (
    account      TEXT NOT NULL,
    region       TEXT NOT NULL,
    role_arn     TEXT,
    external_id  TEXT,
    PRIMARY KEY (account, region)
) STRICT;

CREATE TABLE ledger (
    id           INTEGER PRIMARY KEY,
    session      TEXT NOT NULL,
    epoch        INTEGER NOT NULL,
    kind         TEXT NOT NULL,
    account      TEXT NOT NULL,
    region       TEXT NOT NULL,
    name         TEXT NOT NULL,
    detail       TEXT NOT NULL,
    resource_id  TEXT,
    state        TEXT NOT NULL,
    intended_at  TEXT NOT NULL,
    created_at   TEXT,
    removed_at   TEXT,
    attempts     INTEGER NOT NULL DEFAULT 0,
    last_error   TEXT,
    UNIQUE (account, region, kind, name)
) STRICT;
CREATE INDEX ledger_by_session ON ledger (session, state);

CREATE TABLE workers (
    id             TEXT PRIMARY KEY,
    session        TEXT NOT NULL REFERENCES sessions (id),
    epoch          INTEGER NOT NULL,
    region         TEXT NOT NULL,
    state          TEXT NOT NULL,
    token_sha256   TEXT NOT NULL,
    key_sha256     TEXT,
    instance_id    TEXT,
    certificate    TEXT,
    agent_version  TEXT NOT NULL DEFAULT '',
    acknowledged   INTEGER NOT NULL DEFAULT 0,
    assignment     BLOB,
    grant_scope    TEXT,
    created_at     TEXT NOT NULL,
    last_seen      TEXT,
    ended_at       TEXT,
    UNIQUE (session, epoch)
) STRICT;

-- What a worker said and must not be lost, besides log lines.
CREATE TABLE worker_events (
    worker    TEXT NOT NULL REFERENCES workers (id),
    sequence  INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    body      BLOB NOT NULL,
    PRIMARY KEY (worker, sequence)
) STRICT;

CREATE TABLE repositories (
    name        TEXT PRIMARY KEY,
    id          TEXT NOT NULL,
    bucket      TEXT NOT NULL,
    region      TEXT NOT NULL,
    prefix      TEXT NOT NULL,
    key_kind    TEXT NOT NULL,
    key_arn     TEXT NOT NULL,
    created_at  TEXT NOT NULL
) STRICT;

-- Domain of each DB instance in each repository: the instance's resource id stays when its identifier changes.
CREATE TABLE domains (
    repository   TEXT NOT NULL REFERENCES repositories (name),
    resource_id  TEXT NOT NULL,
    domain       TEXT NOT NULL,
    PRIMARY KEY (repository, resource_id)
) STRICT;

CREATE TABLE points (
    id            TEXT PRIMARY KEY,
    repository    TEXT NOT NULL,
    domain        TEXT NOT NULL,
    session       TEXT NOT NULL,
    policy        TEXT NOT NULL,
    account       TEXT NOT NULL,
    region        TEXT NOT NULL,
    resource      TEXT NOT NULL,
    engine        TEXT NOT NULL,
    login         TEXT NOT NULL,
    snapshot_id   TEXT NOT NULL DEFAULT '',
    summary       TEXT NOT NULL,
    consistent_at TEXT,
    published_at  TEXT NOT NULL
) STRICT;

CREATE TABLE policies (
    name        TEXT PRIMARY KEY,
    document    TEXT NOT NULL,
    applied_at  TEXT NOT NULL,
    next_run    TEXT
) STRICT;

-- Runs that are due, committed before the first session of them starts.
CREATE TABLE policy_runs (
    policy      TEXT NOT NULL,
    due_at      TEXT NOT NULL,
    started_at  TEXT,
    PRIMARY KEY (policy, due_at)
) STRICT;
