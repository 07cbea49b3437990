-- A source's URL can be rotated: for a while the one before leads to it too.

ALTER TABLE source ADD COLUMN previous_token TEXT;
ALTER TABLE source ADD COLUMN previous_token_until INTEGER
    CHECK ((previous_token IS NULL) = (previous_token_until IS NULL));
CREATE UNIQUE INDEX source_previous_token ON source (previous_token) WHERE previous_token IS NOT NULL;
CREATE INDEX source_previous_until ON source (previous_token_until) WHERE previous_token_until IS NOT NULL;
