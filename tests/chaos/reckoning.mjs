// What is left when all is over: the clients' logs beside the database, and the table.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { at } from '../clients/talkers.mjs';

/** The messages that the database has, by conversation and seq, in the order of their seqs. */
async function stored() {
  const query = 'SELECT conversation_id, seq, id, sender_id, client_id FROM messages ORDER BY conversation_id, seq';
  const { stdout } = await promisify(execFile)(
    process.env.CHAOS_PSQL,
    ['--no-psqlrc', '--tuples-only', '--no-align', '--field-separator', '\t', '--command', query, process.env.DATABASE_URL],
    { maxBuffer: 2 ** 31 },
  );
  const rooms = new Map();
  for (const row of stdout.split('\n').filter(Boolean)) {
    const [conversation, seq, id, sender, clientId] = row.split('\t');
    if (!rooms.has(conversation)) rooms.set(conversation, new Map());
    rooms.get(conversation).set(Number(seq), { id, sender, clientId });
  }
  return rooms;
}

/** Compares what talkers were told with the database. */
export async function compare(talkers, stats) {
  const rooms = await stored();
  const lost = [];
  const unseen = [];
  const doubled = [...stats.doubledAtClients.map((w) => `twice at a client: ${w}`)];
  const reordered = stats.outOfOrderAtClients.map((w) => `out of order at a client: ${w}`);
  const differing = stats.differentAcks.map((w) => `two answers: ${w}`);
  for (const [id, messages] of rooms) {
    const keys = new Set();
    let last = 0;
    for (const [seq, { sender, clientId }] of messages) {
      if (seq !== last + 1) differing.push(`a gap in the database: ${id} from seq ${last + 1} to ${seq - 1}`);
      last = seq;
      const key = `${sender} ${clientId}`;
      if (keys.has(key)) doubled.push(`twice in the database: ${key}`);
      keys.add(key);
    }
  }
  for (const talker of talkers) {
    const messages = rooms.get(talker.conversation) ?? new Map();
    const who = talker.someone.id;
    for (const [clientId, { id, seq }] of talker.acks) {
      if (messages.get(seq)?.id !== id) lost.push(`acknowledged and not in the database: ${clientId} seq ${seq}`);
    }
    const newest = [...messages.keys()].at(-1) ?? 0;
    if (talker.complete < newest) unseen.push(`${who} has all up to ${talker.complete} of ${newest}`);
    for (const [seq, id] of talker.messages) {
      if (messages.get(seq)?.id !== id) differing.push(`${who}: another message at seq ${seq}`);
    }
  }
  return { lost, unseen, doubled, reordered, differing, stored: [...rooms.values()].reduce((n, m) => n + m.size, 0) };
}

const seconds = (ms) => (ms === undefined || Number.isNaN(ms) ? '-' : `${(ms / 1000).toFixed(1)} s`);
const sorted = (numbers) => numbers.toSorted((a, b) => a - b);

/** The faults as rows of text: `[name, times, ...]`. */
export function table(kinds) {
  const head = ['fault', 'times', 'heal p50', 'heal max', 'presence p50', 'presence max', 'slowest ack', 'ghosts'];
  const rows = Object.entries(kinds).map(([name, { heals, presence, slowest, ghosts }]) => {
    const [h, p] = [sorted(heals), sorted(presence)];
    const times = [at(h, 0.5), at(h, 1), at(p, 0.5), at(p, 1), slowest].map(seconds);
    return [name, String(heals.length), ...times, String(ghosts)];
  });
  const width = head.map((_, c) => Math.max(...[head, ...rows].map((r) => r[c].length)));
  const line = (row) => row.map((cell, c) => (c ? cell.padStart(width[c]) : cell.padEnd(width[c]))).join('  ');
  return [head, ...rows].map(line).join('\n');
}
