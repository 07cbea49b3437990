-- What was given up, and what became of it.

-- `replayed` is the latest run that was made of an ended one; `new_keys`: the run itself stands for its event in keys.
ALTER TABLE run ADD COLUMN replayed BLOB;
ALTER TABLE run ADD COLUMN new_keys INTEGER NOT NULL DEFAULT 0 CHECK (new_keys IN (0, 1));

-- The deaths from which it was brought back, oldest first.
ALTER TABLE delivery ADD COLUMN past TEXT CHECK (past IS NULL OR json_valid(past));

-- Dead letters and events that no route took are few: these indexes cost nothing on the way of all others.
CREATE INDEX run_dead ON run (tenant, id)
    WHERE ended_at IS NOT NULL AND verdict NOT IN ('done', 'rejected') AND replayed IS NULL;
CREATE INDEX event_unrouted ON event (tenant, id) WHERE runs = x'';
