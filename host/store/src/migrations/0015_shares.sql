-- What a tenant may take of the host: places for its runs, and fuel. Of the row for runs (kind 0).

-- NULL is the host's.
ALTER TABLE ring ADD COLUMN concurrency_max INTEGER;
ALTER TABLE ring ADD COLUMN fuel_per_s INTEGER;
-- When the fuel that was used is paid for, microseconds since 1970: of runs in the background, and of those that a sender
-- waits for.
ALTER TABLE ring ADD COLUMN paid_at_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ring ADD COLUMN reply_paid_at_us INTEGER NOT NULL DEFAULT 0;

-- What a tenant has under way, counted at each of its turns; those that a sender waits for have places of their own.
CREATE INDEX run_held ON run (tenant, due_at) WHERE claimed = 1 AND mode = 0;
