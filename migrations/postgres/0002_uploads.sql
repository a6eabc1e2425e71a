-- Files that clients uploaded. The files themselves are elsewhere, under the same ids.
CREATE TABLE uploads (
    id            TEXT COLLATE "C" PRIMARY KEY,
    owner_id      TEXT COLLATE "C" NOT NULL,
    name          TEXT,
    media_type    TEXT,
    size          BIGINT,
    width         BIGINT,
    height        BIGINT,
    thumbnail     BOOLEAN NOT NULL DEFAULT false,
    created_at    BIGINT NOT NULL,
    -- Not set: still arriving.
    completed_at  BIGINT,
    -- Set with the first message that refers to it, in that message's transaction.
    used_at       BIGINT,
    -- Set: given up for good, and being deleted by a node until then.
    claimed_until BIGINT
);

CREATE INDEX uploads_unused ON uploads (created_at) WHERE used_at IS NULL;

-- In which conversations messages refer to an upload.
CREATE TABLE upload_uses (
    upload_id       TEXT COLLATE "C" NOT NULL REFERENCES uploads (id),
    conversation_id TEXT COLLATE "C" NOT NULL REFERENCES conversations (id),
    PRIMARY KEY (upload_id, conversation_id)
);
