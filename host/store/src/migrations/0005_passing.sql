-- A head that fails holds its line for so long; `skip_at`, set by its first failure, is when the next may pass it.
ALTER TABLE lane ADD COLUMN skip_after_ms INTEGER NOT NULL DEFAULT 600000;
ALTER TABLE run ADD COLUMN skip_at INTEGER;
ALTER TABLE delivery ADD COLUMN skip_at INTEGER;
