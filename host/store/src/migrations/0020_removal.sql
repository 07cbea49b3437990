-- A tenant is removed in steps: from this moment on nobody sees it.
ALTER TABLE tenant ADD COLUMN removed_at INTEGER;
CREATE INDEX tenant_removed ON tenant (removed_at) WHERE removed_at IS NOT NULL;

-- A tenant was removed, and what its pages held is still to leave the file and its log.
ALTER TABLE host ADD COLUMN scrub INTEGER NOT NULL DEFAULT 0 CHECK (scrub IN (0, 1));
