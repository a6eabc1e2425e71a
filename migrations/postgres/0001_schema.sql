-- Times are milliseconds since 1970-01-01 UTC. Ids are ASCII: collation "C" compares bytes, which
-- is fast, the same on every machine and the same as in SQLite.

CREATE TABLE users (
    id         TEXT COLLATE "C" PRIMARY KEY,
    name       TEXT,
    email      TEXT,
    avatar     TEXT,
    status     TEXT,
    last_seen  BIGINT,
    updated_at BIGINT NOT NULL
);

CREATE TABLE conversations (
    id              TEXT COLLATE "C" PRIMARY KEY,
    title           TEXT,
    is_group        BOOLEAN NOT NULL,
    -- The two users of a direct conversation, sorted; freed when it is deleted.
    direct_key      TEXT COLLATE "C" UNIQUE,
    last_seq        BIGINT NOT NULL DEFAULT 0 CHECK (last_seq >= 0),
    -- Grows with every change of the present participants.
    members_version BIGINT NOT NULL DEFAULT 1,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    deleted_at      BIGINT,
    CHECK (NOT is_group OR direct_key IS NULL)
) WITH (fillfactor = 70); -- Each message updates its row: room to do that without touching indexes.

CREATE TABLE participants (
    conversation_id TEXT COLLATE "C" NOT NULL REFERENCES conversations (id),
    user_id         TEXT COLLATE "C" NOT NULL,
    role            TEXT NOT NULL CHECK (role IN ('admin', 'member')),
    joined_at       BIGINT NOT NULL,
    left_at         BIGINT,
    read_seq        BIGINT NOT NULL DEFAULT 0,
    read_at         BIGINT,
    delivered_seq   BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation_id, user_id)
) WITH (fillfactor = 70);

CREATE INDEX participants_by_user ON participants (user_id) WHERE left_at IS NULL;

CREATE TABLE messages (
    id              TEXT COLLATE "C" PRIMARY KEY,
    conversation_id TEXT COLLATE "C" NOT NULL REFERENCES conversations (id),
    seq             BIGINT NOT NULL CHECK (seq > 0),
    sender_id       TEXT COLLATE "C" NOT NULL,
    client_id       TEXT COLLATE "C",
    kind            TEXT NOT NULL,
    content         TEXT NOT NULL,
    attachments     TEXT,
    metadata        TEXT,
    created_at      BIGINT NOT NULL,
    edited_at       BIGINT,
    deleted_at      BIGINT
);

CREATE UNIQUE INDEX messages_by_seq ON messages (conversation_id, seq);
CREATE UNIQUE INDEX messages_by_client_id ON messages (sender_id, client_id)
    WHERE client_id IS NOT NULL;

-- Messages whose event may not have reached every node. Small and short-lived: vacuum early.
CREATE TABLE outbox (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id    TEXT COLLATE "C" NOT NULL,
    created_at    BIGINT NOT NULL,
    claimed_until BIGINT NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
