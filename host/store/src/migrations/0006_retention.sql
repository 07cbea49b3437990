-- What is kept how long, and what was erased.

-- When a person had the event's payload erased; what retention removes only has no row in `body`.
ALTER TABLE event ADD COLUMN erased_at INTEGER;

-- The events of a request that has several.
CREATE INDEX event_batch ON event (request) WHERE count > 1;

-- Up to which event a tenant's events have been looked at; `kind`: 0 bodies, 1 records.
CREATE TABLE retention (
    tenant BLOB NOT NULL,
    kind INTEGER NOT NULL CHECK (kind IN (0, 1)),
    behind BLOB NOT NULL CHECK (length(behind) = 16),
    PRIMARY KEY (tenant, kind)
) STRICT, WITHOUT ROWID;

-- Events that were passed by because something of them was pending; they are looked at again and again.
CREATE TABLE retained (
    tenant BLOB NOT NULL,
    kind INTEGER NOT NULL CHECK (kind IN (0, 1)),
    event BLOB NOT NULL CHECK (length(event) = 16),
    PRIMARY KEY (tenant, kind, event)
) STRICT, WITHOUT ROWID;
