-- Orders that refuse tokens or end connections, one about each subject. Every node reads those that
-- are newer than what it has read.
CREATE TABLE orders (
    subject       TEXT NOT NULL PRIMARY KEY,
    version       INTEGER NOT NULL,
    issued_before INTEGER NOT NULL,
    -- From when on it has no effect.
    ends_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX orders_version ON orders (version);
CREATE INDEX orders_ended ON orders (ends_at);

-- The newest version, in its one row.
CREATE TABLE newest_order (
    version INTEGER NOT NULL
) STRICT;
INSERT INTO newest_order (version) VALUES (0);
