-- Orders that refuse tokens or end connections, one about each subject. Every node reads those that
-- are newer than what it has read.
CREATE TABLE orders (
    subject       TEXT COLLATE "C" PRIMARY KEY,
    version       BIGINT NOT NULL,
    issued_before BIGINT NOT NULL,
    -- From when on it has no effect.
    ends_at       BIGINT NOT NULL
);

CREATE UNIQUE INDEX orders_version ON orders (version);
CREATE INDEX orders_ended ON orders (ends_at);

-- The newest version, in its one row. Whoever changes an order holds the row's lock until the change
-- is committed, so that no version can be read before an earlier one.
CREATE TABLE newest_order (
    version BIGINT NOT NULL
);
INSERT INTO newest_order (version) VALUES (0);
