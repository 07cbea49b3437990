-- What each tenant used on each day (UTC), for bills. Written once per batch and tenant, with what it counts.

CREATE TABLE usage (
    tenant BLOB NOT NULL CHECK (length(tenant) = 16),
    -- Days since 1970.
    day INTEGER NOT NULL,
    events INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    fuel INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL,
    deliveries INTEGER NOT NULL,
    PRIMARY KEY (tenant, day)
) STRICT, WITHOUT ROWID;
