-- The limit that a run would have gone beyond, apart from the reason that people read: which, how much was used and allowed.

ALTER TABLE run ADD COLUMN breach TEXT CHECK (breach IS NULL OR json_valid(breach));
