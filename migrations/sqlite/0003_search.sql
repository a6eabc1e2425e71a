-- The words of messages, by their number. Filled by a background task; contents are not kept twice.
-- `room` holds the conversation's id as one word, so that a search reads its own rooms only.
CREATE VIRTUAL TABLE message_index USING fts5 (
    room,
    content,
    content = '',
    columnsize = 0,
    tokenize = "unicode61 remove_diacritics 2"
);

-- Up to which number the messages are in the index. Written together with it.
CREATE TABLE message_index_progress (
    only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    done     INTEGER NOT NULL
) STRICT;

INSERT INTO message_index_progress (only_row, done) VALUES (1, 0);
