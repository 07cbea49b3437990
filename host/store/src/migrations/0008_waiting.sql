-- How many calls wait for one destination, and how many may.

-- Those that are not over, oldest first: an index entry is a lane's number and the delivery's own.
CREATE INDEX delivery_waiting ON delivery (lane) WHERE ended_at IS NULL;

-- `waiting` counts the lane's deliveries that are not over, those on their way included; `waiting_max` NULL is as many as
-- the host lets wait.
ALTER TABLE lane ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0 CHECK (waiting >= 0);
ALTER TABLE lane ADD COLUMN waiting_max INTEGER;
UPDATE lane SET waiting = (SELECT count(*) FROM delivery WHERE delivery.lane = lane.id AND ended_at IS NULL)
    WHERE kind = 1;
