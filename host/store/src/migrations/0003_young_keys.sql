-- Dedup keys are kept with their request first and merged into the table in sorted slices.

-- The keys of the request's events, packed; `host.dedup_seq` is the last request whose keys are in `dedup`.
ALTER TABLE request ADD COLUMN dedup BLOB;
ALTER TABLE host ADD COLUMN dedup_seq INTEGER NOT NULL DEFAULT 0;

-- Half of a hash is enough; expired rows are found by a sweep, which costs no index.
CREATE TABLE dedup_2 (
    tenant BLOB NOT NULL,
    source BLOB NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 16),
    event BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    -- The hash first: it differs at once, so a look-up compares one column per step.
    PRIMARY KEY (hash, tenant, source)
) STRICT, WITHOUT ROWID;
INSERT INTO dedup_2 (tenant, source, hash, event, expires_at)
    SELECT tenant, source, substr(hash, 1, 16), event, expires_at FROM dedup;
DROP TABLE dedup;
ALTER TABLE dedup_2 RENAME TO dedup;
