-- The first schema. Ids are sixteen bytes and begin with their time; times are milliseconds since 1970; every row names
-- its tenant. States are columns with CHECKs; work in progress is a lease, never a state.

-- One row about this file. `boot` counts openings: a claim token is made of it and never repeats.
CREATE TABLE host (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    boot INTEGER NOT NULL
) STRICT;
INSERT INTO host (id, boot) VALUES (1, 0);

-- ---- what people configure ----

CREATE TABLE tenant (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    limits TEXT NOT NULL CHECK (json_valid(limits))
) STRICT, WITHOUT ROWID;

CREATE TABLE api_key (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    tenant BLOB REFERENCES tenant (id),
    role TEXT NOT NULL CHECK (role IN ('operator', 'tenant_admin')),
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    CHECK ((tenant IS NULL) = (role = 'operator'))
) STRICT, WITHOUT ROWID;
CREATE INDEX api_key_tenant ON api_key (tenant);

CREATE TABLE secret (
    tenant BLOB NOT NULL REFERENCES tenant (id),
    name TEXT NOT NULL,
    id BLOB NOT NULL CHECK (length(id) = 16),
    sealed BLOB NOT NULL,
    previous BLOB,
    previous_until INTEGER,
    origins TEXT NOT NULL CHECK (json_valid(origins)),
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX secret_previous ON secret (previous_until) WHERE previous_until IS NOT NULL;

CREATE TABLE source (
    tenant BLOB NOT NULL REFERENCES tenant (id),
    id BLOB NOT NULL CHECK (length(id) = 16),
    name TEXT NOT NULL,
    token TEXT NOT NULL UNIQUE,
    paused INTEGER NOT NULL CHECK (paused IN (0, 1)),
    spec TEXT NOT NULL CHECK (json_valid(spec)),
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE destination (
    tenant BLOB NOT NULL REFERENCES tenant (id),
    id BLOB NOT NULL CHECK (length(id) = 16),
    name TEXT NOT NULL,
    paused TEXT,
    disabled TEXT,
    spec TEXT NOT NULL CHECK (json_valid(spec)),
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE plugin (
    tenant BLOB NOT NULL REFERENCES tenant (id),
    id BLOB NOT NULL CHECK (length(id) = 16),
    name TEXT NOT NULL,
    active INTEGER CHECK (active > 0),
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, name)
) STRICT, WITHOUT ROWID;

-- A rowid table: components are large.
CREATE TABLE component (
    tenant BLOB NOT NULL REFERENCES tenant (id),
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    created_at INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (tenant, digest)
) STRICT;

CREATE TABLE deployment (
    tenant BLOB NOT NULL,
    plugin BLOB NOT NULL,
    number INTEGER NOT NULL CHECK (number > 0),
    id BLOB NOT NULL CHECK (length(id) = 16),
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    config TEXT NOT NULL CHECK (json_valid(config)),
    grants TEXT NOT NULL CHECK (json_valid(grants)),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, plugin, number),
    FOREIGN KEY (tenant, plugin) REFERENCES plugin (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE route (
    tenant BLOB NOT NULL,
    id BLOB NOT NULL CHECK (length(id) = 16),
    name TEXT NOT NULL,
    source BLOB NOT NULL,
    pattern TEXT NOT NULL,
    plugin BLOB NOT NULL,
    mode TEXT NOT NULL CHECK (mode IN ('ack', 'reply')),
    late TEXT NOT NULL CHECK (late IN ('drop', 'keep')),
    paused INTEGER NOT NULL CHECK (paused IN (0, 1)),
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, name),
    FOREIGN KEY (tenant, source) REFERENCES source (tenant, id),
    FOREIGN KEY (tenant, plugin) REFERENCES plugin (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX route_source ON route (tenant, source);
CREATE INDEX route_plugin ON route (tenant, plugin);

-- ---- what keeps work in line ----

-- A tenant's turn, one row per kind of work (0 runs, 1 deliveries). `ready_at` is a lower bound of its lanes' `ready_at`.
CREATE TABLE ring (
    kind INTEGER NOT NULL CHECK (kind IN (0, 1)),
    tenant BLOB NOT NULL,
    pending INTEGER NOT NULL DEFAULT 0 CHECK (pending >= 0),
    ready_at INTEGER,
    PRIMARY KEY (kind, tenant)
) STRICT, WITHOUT ROWID;
CREATE INDEX ring_ready ON ring (kind, ready_at) WHERE ready_at IS NOT NULL;

-- A lane: the runs of a route (kind 0) or the deliveries to a destination (kind 1). `ready_at` is a lower bound of when a
-- claim may find something here, breaker, rate and fullness included; NULL while nothing waits or the lane is paused.
CREATE TABLE lane (
    id INTEGER PRIMARY KEY,
    tenant BLOB NOT NULL,
    kind INTEGER NOT NULL CHECK (kind IN (0, 1)),
    target BLOB NOT NULL CHECK (length(target) = 16),
    paused INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    ready_at INTEGER CHECK (ready_at IS NULL OR paused = 0),
    not_before INTEGER NOT NULL DEFAULT 0,
    concurrency_max INTEGER,
    rate_per_s INTEGER,
    rate_milli INTEGER NOT NULL DEFAULT 0,
    rate_at INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    opened INTEGER NOT NULL DEFAULT 0,
    open_until INTEGER,
    UNIQUE (tenant, kind, target)
) STRICT;
CREATE INDEX lane_ready ON lane (tenant, kind, ready_at) WHERE ready_at IS NOT NULL;

-- ---- requests, events, replies ----

-- A verified request; `head` packs method, scheme, query, headers and attributes, `answer` what the sender was told.
CREATE TABLE request (
    seq INTEGER PRIMARY KEY,
    tenant BLOB NOT NULL,
    id BLOB NOT NULL,
    source BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    head BLOB NOT NULL,
    answer BLOB NOT NULL
) STRICT;

-- A request's body under its request's number; erased when there is no row.
CREATE TABLE body (
    seq INTEGER PRIMARY KEY,
    tenant BLOB NOT NULL,
    bytes BLOB NOT NULL
) STRICT;

-- `runs` holds the ids of its runs one after the other, so that no index is needed to find them.
CREATE TABLE event (
    tenant BLOB NOT NULL,
    id BLOB NOT NULL,
    request INTEGER NOT NULL,
    number INTEGER NOT NULL,
    count INTEGER NOT NULL,
    source BLOB NOT NULL,
    kind TEXT NOT NULL,
    provider_id TEXT,
    subject TEXT,
    occurred_at INTEGER,
    item_from INTEGER,
    item_to INTEGER,
    duplicates INTEGER NOT NULL DEFAULT 0,
    runs BLOB NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_subject ON event (tenant, subject, id) WHERE subject IS NOT NULL;

CREATE TABLE dedup (
    tenant BLOB NOT NULL,
    source BLOB NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    event BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, source, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX dedup_expiry ON dedup (expires_at);

-- What a waiting sender is told, decided once: `answer` is set by the first conditional update.
CREATE TABLE reply (
    tenant BLOB NOT NULL,
    event BLOB NOT NULL,
    run BLOB NOT NULL,
    deadline INTEGER NOT NULL,
    fallback BLOB NOT NULL,
    answer BLOB,
    decided_at INTEGER,
    PRIMARY KEY (tenant, event),
    CHECK ((answer IS NULL) = (decided_at IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX reply_pending ON reply (deadline) WHERE answer IS NULL;

-- ---- runs ----

-- `due_at`: NULL when blocked behind its order key or ended; while claimed the end of the lease. `seq` is the order of
-- arrival; `failures` counts the attempts that ended `timeout` or `host`; `deliveries` holds the numbers of the deliveries that it decided, eight bytes each.
CREATE TABLE run (
    tenant BLOB NOT NULL,
    id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    event BLOB NOT NULL,
    route BLOB NOT NULL,
    plugin BLOB NOT NULL,
    mode INTEGER NOT NULL CHECK (mode IN (0, 1)),
    order_key TEXT,
    due_at INTEGER,
    claimed INTEGER NOT NULL DEFAULT 0 CHECK (claimed IN (0, 1)),
    claim INTEGER,
    claims INTEGER NOT NULL DEFAULT 0 CHECK (claims >= 0),
    attempts INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    deadline INTEGER,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    verdict TEXT,
    reason TEXT,
    deployment INTEGER,
    fuel INTEGER NOT NULL DEFAULT 0,
    memory_bytes INTEGER NOT NULL DEFAULT 0,
    cpu_us INTEGER NOT NULL DEFAULT 0,
    wait_us INTEGER NOT NULL DEFAULT 0,
    deliveries BLOB,
    PRIMARY KEY (tenant, id),
    CHECK ((claimed = 1) = (claim IS NOT NULL)),
    CHECK (claimed = 0 OR due_at IS NOT NULL),
    CHECK (ended_at IS NULL OR (due_at IS NULL AND verdict IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX run_due ON run (lane, claimed, due_at) WHERE due_at IS NOT NULL;
CREATE UNIQUE INDEX run_claim ON run (claim) WHERE claim IS NOT NULL;
CREATE INDEX run_order ON run (lane, order_key, seq) WHERE order_key IS NOT NULL AND ended_at IS NULL;

CREATE TABLE run_log (
    tenant BLOB NOT NULL,
    run BLOB NOT NULL,
    lines TEXT NOT NULL CHECK (json_valid(lines)),
    PRIMARY KEY (tenant, run)
) STRICT;

-- ---- deliveries ----

-- `state`: 0 pending, 1 delivered, 2 dead. `due_at` as in `run`.
CREATE TABLE delivery (
    seq INTEGER PRIMARY KEY,
    tenant BLOB NOT NULL,
    id BLOB NOT NULL,
    lane INTEGER NOT NULL,
    destination BLOB NOT NULL,
    run BLOB NOT NULL,
    event BLOB NOT NULL,
    number INTEGER NOT NULL,
    key TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    order_key TEXT,
    on_result TEXT,
    state INTEGER NOT NULL CHECK (state IN (0, 1, 2)),
    reason TEXT,
    due_at INTEGER,
    claimed INTEGER NOT NULL DEFAULT 0 CHECK (claimed IN (0, 1)),
    claim INTEGER,
    claims INTEGER NOT NULL DEFAULT 0 CHECK (claims >= 0),
    attempts INTEGER NOT NULL DEFAULT 0,
    start_at INTEGER NOT NULL,
    expires_at INTEGER,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    CHECK ((claimed = 1) = (claim IS NOT NULL)),
    CHECK (claimed = 0 OR due_at IS NOT NULL),
    CHECK ((state = 0) = (ended_at IS NULL)),
    CHECK (state = 0 OR due_at IS NULL)
) STRICT;
CREATE UNIQUE INDEX delivery_id ON delivery (tenant, id);
CREATE INDEX delivery_due ON delivery (lane, claimed, due_at) WHERE due_at IS NOT NULL;
CREATE UNIQUE INDEX delivery_claim ON delivery (claim) WHERE claim IS NOT NULL;
CREATE INDEX delivery_order ON delivery (lane, order_key, seq) WHERE order_key IS NOT NULL AND ended_at IS NULL;
CREATE INDEX delivery_dead ON delivery (tenant, id) WHERE state = 2;

-- What a delivery sends: apart, because the delivery's own row changes with every attempt and this never does.
CREATE TABLE call (
    seq INTEGER PRIMARY KEY,
    tenant BLOB NOT NULL,
    head BLOB NOT NULL,
    body BLOB
) STRICT;

-- Attempts in the order of their claims.
CREATE TABLE attempt (
    delivery INTEGER NOT NULL,
    claim INTEGER NOT NULL,
    tenant BLOB NOT NULL,
    attempt TEXT NOT NULL CHECK (json_valid(attempt)),
    PRIMARY KEY (delivery, claim)
) STRICT, WITHOUT ROWID;

-- ---- for the operator's eyes ----

CREATE TABLE refusal (
    seq INTEGER PRIMARY KEY,
    tenant BLOB NOT NULL,
    at INTEGER NOT NULL,
    source BLOB NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    peer TEXT NOT NULL
) STRICT;
CREATE INDEX refusal_tenant ON refusal (tenant, seq);
