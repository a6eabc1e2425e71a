-- Files that clients uploaded. The files themselves are elsewhere, under the same ids.
CREATE TABLE uploads (
    id            TEXT NOT NULL PRIMARY KEY,
    owner_id      TEXT NOT NULL,
    name          TEXT,
    media_type    TEXT,
    size          INTEGER,
    width         INTEGER,
    height        INTEGER,
    thumbnail     INTEGER NOT NULL DEFAULT 0 CHECK (thumbnail IN (0, 1)),
    created_at    INTEGER NOT NULL,
    -- Not set: still arriving.
    completed_at  INTEGER,
    -- Set with the first message that refers to it, in that message's transaction.
    used_at       INTEGER,
    -- Set: given up for good, and being deleted by a node until then.
    claimed_until INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX uploads_unused ON uploads (created_at) WHERE used_at IS NULL;

-- In which conversations messages refer to an upload.
CREATE TABLE upload_uses (
    upload_id       TEXT NOT NULL REFERENCES uploads (id),
    conversation_id TEXT NOT NULL REFERENCES conversations (id),
    PRIMARY KEY (upload_id, conversation_id)
) STRICT, WITHOUT ROWID;
