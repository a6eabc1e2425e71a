// What the Node peer keeps of its messages: in memory, or in PostgreSQL before the ack, as an app must
// that promises as much as Porchlight does.

import { randomUUID } from "node:crypto";

/** A message as clients hear it. */
function made(seq, { id: conversationId }, senderId, { content, clientId, type = "text" }) {
  const timestamp = new Date().toISOString();
  return { id: randomUUID(), seq, conversationId, senderId, content, type, timestamp, clientId };
}

/**
 * Counts seqs per conversation on this process: in a cluster all senders of a conversation must be
 * connected to one node.
 */
export function memory() {
  return {
    create() {},
    /** Returns the message and whether it is new. */
    append(conversation, sender, sent) {
      const key = `${sender}/${sent.clientId}`;
      const known = sent.clientId && conversation.sent.get(key);
      if (known) return { message: known, fresh: false };
      const message = made(++conversation.seq, conversation, sender, sent);
      if (sent.clientId) conversation.sent.set(key, message);
      return { message, fresh: true };
    },
  };
}

const SCHEMA = `
  SELECT pg_advisory_lock(1);
  CREATE TABLE IF NOT EXISTS conversations (id text PRIMARY KEY, seq bigint NOT NULL);
  CREATE TABLE IF NOT EXISTS messages (
    id text PRIMARY KEY, conversation text NOT NULL, seq bigint NOT NULL, sender text NOT NULL,
    client_id text, body json NOT NULL, UNIQUE (conversation, seq), UNIQUE (sender, client_id));
  SELECT pg_advisory_unlock(1)`;

const APPEND = {
  name: "append",
  text: `
    WITH next AS (UPDATE conversations SET seq = seq + 1 WHERE id = $1 AND NOT EXISTS
      (SELECT 1 FROM messages WHERE sender = $2 AND client_id = $3) RETURNING seq)
    INSERT INTO messages SELECT $4, $1, seq, $2, $3, $5::json FROM next RETURNING seq`,
};

/** One committed transaction per message; those of a conversation one after the other. */
export async function postgres(connectionString) {
  const { default: pg } = await import("pg");
  const pool = new pg.Pool({ connectionString, max: 20 });
  await pool.query(SCHEMA);
  const append = async (conversation, sender, sent) => {
    const message = made(0, conversation, sender, sent);
    const { id, clientId } = message;
    const values = [conversation.id, sender, clientId, id, JSON.stringify(message)];
    const { rows } = await pool.query({ ...APPEND, values });
    if (rows.length > 0) return { message: { ...message, seq: Number(rows[0].seq) }, fresh: true };
    const known = await pool.query(
      "SELECT body, seq FROM messages WHERE sender = $1 AND client_id = $2", [sender, clientId]);
    const [{ body, seq }] = known.rows;
    return { message: { ...body, seq: Number(seq) }, fresh: false };
  };
  return {
    create: (id) => pool.query("INSERT INTO conversations VALUES ($1, 0)", [id]),
    append(conversation, sender, sent) {
      const run = () => append(conversation, sender, sent);
      const done = (conversation.tail ?? Promise.resolve()).then(run);
      conversation.tail = done.catch(() => {});
      return done;
    },
  };
}
