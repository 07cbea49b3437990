-- The secret for want of which a destination is paused: it goes on when that secret is saved.
ALTER TABLE destination ADD COLUMN lacks TEXT CHECK (lacks IS NULL OR paused IS NOT NULL);
