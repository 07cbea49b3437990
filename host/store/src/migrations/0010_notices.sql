-- What tenants are told about their own things.

-- Where a tenant's notices go; a destination that is named here cannot be removed.
CREATE TABLE notices (
    tenant BLOB NOT NULL PRIMARY KEY,
    destination BLOB NOT NULL,
    refusals_percent INTEGER NOT NULL CHECK (refusals_percent BETWEEN 1 AND 100),
    refusals_min INTEGER NOT NULL CHECK (refusals_min > 0),
    FOREIGN KEY (tenant, destination) REFERENCES destination (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX notices_destination ON notices (tenant, destination);

-- When the last notice of a kind about a thing was made, and how many facts were not told since. Kind `heard` is when the
-- last genuine request of a source came.
CREATE TABLE noticed (
    tenant BLOB NOT NULL,
    kind TEXT NOT NULL,
    thing BLOB NOT NULL CHECK (length(thing) = 16),
    at INTEGER NOT NULL,
    suppressed INTEGER NOT NULL DEFAULT 0 CHECK (suppressed >= 0),
    PRIMARY KEY (tenant, kind, thing)
) STRICT, WITHOUT ROWID;

-- Calls that are notices belong to no run and no event, so they are found by their age.
CREATE INDEX delivery_notice ON delivery (tenant, created_at) WHERE run = x'00000000000000000000000000000000';
