-- Events that report how a call ended.

-- `parent` is the event whose run decided the call, `depth` counts such events in a row, `identity` stands for the event in
-- the keys of its calls.
CREATE TABLE followup (
    tenant BLOB NOT NULL,
    event BLOB NOT NULL,
    parent BLOB NOT NULL,
    delivery BLOB NOT NULL CHECK (length(delivery) = 16),
    depth INTEGER NOT NULL CHECK (depth > 0),
    identity BLOB NOT NULL CHECK (length(identity) = 16),
    PRIMARY KEY (tenant, event)
) STRICT, WITHOUT ROWID;
