-- What a run read from outside of itself: apart, so that no list reads it, and packed, because only its run asks for it.
CREATE TABLE run_record (
    tenant BLOB NOT NULL,
    run BLOB NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (tenant, run)
) STRICT;
