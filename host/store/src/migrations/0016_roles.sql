-- Keys get more roles, a right to read payloads apart from the role, and the hour of their last use. What a key could do, it
-- still can.

CREATE TABLE api_key_new (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    tenant BLOB REFERENCES tenant (id),
    role TEXT NOT NULL CHECK (role IN ('reader', 'deployer', 'tenant_admin', 'operator')),
    payload_read INTEGER NOT NULL CHECK (payload_read IN (0, 1)),
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER,
    CHECK ((tenant IS NULL) = (role = 'operator'))
) STRICT, WITHOUT ROWID;
INSERT INTO api_key_new (id, tenant, role, payload_read, name, hash, created_at, expires_at)
    SELECT id, tenant, role, 1, name, hash, created_at, expires_at FROM api_key;
DROP TABLE api_key;
ALTER TABLE api_key_new RENAME TO api_key;
CREATE INDEX api_key_tenant ON api_key (tenant);
