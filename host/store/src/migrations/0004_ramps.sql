-- A lane waits as long as its receiver asked to, and a breaker that is half open counts the good answers.
ALTER TABLE lane ADD COLUMN held_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE lane ADD COLUMN successes INTEGER NOT NULL DEFAULT 0;
