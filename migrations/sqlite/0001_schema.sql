-- Times are milliseconds since 1970-01-01 UTC. Ids are ASCII and compare by bytes.

CREATE TABLE users (
    id         TEXT NOT NULL PRIMARY KEY,
    name       TEXT,
    email      TEXT,
    avatar     TEXT,
    status     TEXT,
    last_seen  INTEGER,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE conversations (
    id              TEXT NOT NULL PRIMARY KEY,
    title           TEXT,
    is_group        INTEGER NOT NULL CHECK (is_group IN (0, 1)),
    -- The two users of a direct conversation, sorted; freed when it is deleted.
    direct_key      TEXT UNIQUE,
    last_seq        INTEGER NOT NULL DEFAULT 0 CHECK (last_seq >= 0),
    -- Grows with every change of the present participants.
    members_version INTEGER NOT NULL DEFAULT 1,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    deleted_at      INTEGER,
    CHECK (NOT is_group OR direct_key IS NULL)
) STRICT, WITHOUT ROWID;

CREATE TABLE participants (
    conversation_id TEXT NOT NULL REFERENCES conversations (id),
    user_id         TEXT NOT NULL,
    role            TEXT NOT NULL CHECK (role IN ('admin', 'member')),
    joined_at       INTEGER NOT NULL,
    left_at         INTEGER,
    read_seq        INTEGER NOT NULL DEFAULT 0,
    read_at         INTEGER,
    delivered_seq   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX participants_by_user ON participants (user_id) WHERE left_at IS NULL;

-- Clustered by a number, in the order of commits: contents may be long, and long rows make a slow
-- clustered key. Messages are never removed, so a number is never given twice.
CREATE TABLE messages (
    number          INTEGER PRIMARY KEY,
    id              TEXT NOT NULL UNIQUE,
    conversation_id TEXT NOT NULL REFERENCES conversations (id),
    seq             INTEGER NOT NULL CHECK (seq > 0),
    sender_id       TEXT NOT NULL,
    client_id       TEXT,
    kind            TEXT NOT NULL,
    content         TEXT NOT NULL,
    attachments     TEXT,
    metadata        TEXT,
    created_at      INTEGER NOT NULL,
    edited_at       INTEGER,
    deleted_at      INTEGER
) STRICT;

CREATE UNIQUE INDEX messages_by_seq ON messages (conversation_id, seq);
CREATE UNIQUE INDEX messages_by_client_id ON messages (sender_id, client_id)
    WHERE client_id IS NOT NULL;

-- Messages whose event may not have reached every node. The id is the message's number, so a late
-- clearing cannot hit another message's row.
CREATE TABLE outbox (
    id            INTEGER PRIMARY KEY,
    message_id    TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    claimed_until INTEGER NOT NULL DEFAULT 0
) STRICT;
