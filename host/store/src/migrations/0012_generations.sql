-- Dedup keys are written in generations, each sorted in itself; what was there becomes the first, number 0.

-- The last generation that is whole.
ALTER TABLE host ADD COLUMN dedup_generation INTEGER NOT NULL DEFAULT 0;

CREATE TABLE dedup_2 (
    generation INTEGER NOT NULL,
    tenant BLOB NOT NULL,
    source BLOB NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 16),
    event BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (generation, hash, tenant, source)
) STRICT, WITHOUT ROWID;
INSERT INTO dedup_2 (generation, tenant, source, hash, event, expires_at)
    SELECT 0, tenant, source, hash, event, expires_at FROM dedup ORDER BY hash, tenant, source;
DROP TABLE dedup;
ALTER TABLE dedup_2 RENAME TO dedup;
