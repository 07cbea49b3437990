-- Who did what: a row before a change or the reading of a payload, and its outcome after. Rows only come, and go by age; nothing
-- but the outcome is ever written to one, and that once.

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    -- NULL: it was about the host.
    tenant BLOB CHECK (tenant IS NULL OR length(tenant) = 16),
    key BLOB NOT NULL CHECK (length(key) = 16),
    key_name TEXT NOT NULL,
    role TEXT NOT NULL,
    what TEXT NOT NULL,
    object TEXT NOT NULL,
    peer TEXT NOT NULL,
    -- NULL: the request was cut off, or the host ended before.
    status INTEGER
) STRICT;
CREATE INDEX audit_tenant ON audit (tenant, seq);
CREATE INDEX audit_at ON audit (at);

CREATE TRIGGER audit_row_stays
BEFORE UPDATE OF seq, at, tenant, key, key_name, role, what, object, peer ON audit
BEGIN SELECT RAISE(ABORT, 'what the audit trail says is not changed'); END;
CREATE TRIGGER audit_outcome_stays
BEFORE UPDATE OF status ON audit WHEN old.status IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'what the audit trail says is not changed'); END;
