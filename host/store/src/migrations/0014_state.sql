-- The state of plugins.

-- What a plugin holds, keys and values, and how many commits have written to it: the last one's number is the version of
-- what it wrote, and it never goes back.
CREATE TABLE state_total (
    tenant BLOB NOT NULL,
    plugin BLOB NOT NULL,
    keys INTEGER NOT NULL CHECK (keys >= 0),
    bytes INTEGER NOT NULL CHECK (bytes >= 0),
    version INTEGER NOT NULL CHECK (version > 0),
    PRIMARY KEY (tenant, plugin),
    FOREIGN KEY (tenant, plugin) REFERENCES plugin (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE state (
    tenant BLOB NOT NULL,
    plugin BLOB NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    value BLOB NOT NULL,
    PRIMARY KEY (tenant, plugin, key)
) STRICT, WITHOUT ROWID;
