// Many senders at once, while whoever runs this kills and restarts the gateway: is every
// acknowledged message there once and in order, for everyone?
//
//   node durability.mjs [--senders 200] [--conversations 50] [--messages 20000] [--report FILE]
//
// One clientId in ten is sent twice at the same time. A send without an answer is repeated with
// its clientId. A client that comes back joins with the last seq it has without a gap. Progress is
// printed as `progress ACKED TOTAL`, so that a harness knows when to strike. In the end what the
// clients saw is compared with what REST tells. The gateway's limits must allow the load.

import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { check, pause, person, waitFor } from './lib.mjs';

const { values } = parseArgs({
  options: {
    senders: { type: 'string', default: '200' },
    conversations: { type: 'string', default: '50' },
    messages: { type: 'string', default: '20000' },
    report: { type: 'string' },
  },
});
const SENDERS = Number(values.senders);
const CONVERSATIONS = Number(values.conversations);
const MESSAGES = Number(values.messages);
const ACK_PATIENCE = 10_000;

/** How long to wait for the end of it all: the gateway may be down for a while in between. */
const LONG = 600_000;

const stats = {
  acked: 0,
  repeated: 0,
  sentTwice: 0,
  connects: 0,
  rateLimited: 0,
  doubledAtClients: [],
  outOfOrderAtClients: [],
  differentAcks: [],
  refused: [],
  latencies: [],
};

/** A participant: sends its share, and keeps what it heard of its conversation. */
class Talker {
  constructor(someone, conversation, share) {
    this.someone = someone;
    this.conversation = conversation;
    this.share = share;
    this.messages = new Map(); // seq -> id
    this.complete = 0; // every seq up to here is known
    this.acks = new Map(); // clientId -> { id, seq }
    this.ready = false;
  }

  async start() {
    this.client = await this.someone.connect({
      onConnect: (socket) => this.#arrived(socket).catch((e) => stats.refused.push(`join: ${e.message}`)),
      reconnectionDelay: 100,
      reconnectionDelayMax: 1000,
    });
    this.socket = this.client.socket;
    this.client.socket.offAny(); // the log of so many messages would only take memory
    this.socket.on('disconnect', () => (this.ready = false));
    this.socket.on('message:new', (message) => this.#heard(message));
    await waitFor(() => this.ready, 'the first join', LONG);
  }

  /** After each connect: what was missed, in pages. */
  async #arrived(socket) {
    stats.connects += 1;
    this.live = new Set(); // seqs heard live on this connection
    this.newest = 0;
    for (let more = true; more && socket.connected; ) {
      const ask = { conversationId: this.conversation, after: this.complete };
      const ack = await emit(socket, 'conversation:join', ask);
      if (!ack) continue; // too late, or gone: then the next connect does it
      if (!ack.ok) throw new Error(JSON.stringify(ack.error));
      for (const message of ack.messages) this.#keep(message);
      more = ack.hasMore;
    }
    this.ready = true;
  }

  #heard(message) {
    const where = `${this.someone.id} seq ${message.seq}`;
    if (this.live.has(message.seq)) stats.doubledAtClients.push(where);
    if (message.seq < this.newest) stats.outOfOrderAtClients.push(`${where} after ${this.newest}`);
    this.live.add(message.seq);
    this.newest = Math.max(this.newest, message.seq);
    this.#keep(message);
  }

  #keep({ seq, id }) {
    const known = this.messages.get(seq);
    if (known && known !== id) stats.differentAcks.push(`${this.conversation} seq ${seq}: ${known}, ${id}`);
    this.messages.set(seq, id);
    while (this.messages.has(this.complete + 1)) this.complete += 1;
  }

  async send() {
    for (let n = 1; n <= this.share; n += 1) {
      const clientId = `${this.someone.id}-${n}`;
      const message = { conversationId: this.conversation, content: `${clientId} says hello`, clientId };
      if (n % 10 === 0) {
        stats.sentTwice += 1;
        await Promise.all([this.#deliver(message), this.#deliver(message)]);
      } else {
        await this.#deliver(message);
      }
      stats.acked += 1;
    }
  }

  /** Sends until there is an ack. */
  async #deliver(message) {
    for (let tries = 0; ; tries += 1) {
      await waitFor(() => this.socket.connected, `${this.someone.id} to be connected`, LONG);
      if (tries > 0) stats.repeated += 1;
      const began = performance.now();
      const ack = await emit(this.socket, 'message:send', message);
      if (ack?.ok) {
        stats.latencies.push(performance.now() - began);
        const { id, seq } = ack.message;
        const first = this.acks.get(message.clientId);
        if (first && (first.id !== id || first.seq !== seq)) stats.differentAcks.push(message.clientId);
        this.acks.set(message.clientId, { id, seq });
        return;
      }
      if (ack?.error?.code === 'rate_limited') {
        stats.rateLimited += 1;
        await pause(ack.error.retry_after_ms);
      } else if (ack) {
        if (!['unavailable', 'internal'].includes(ack.error?.code)) {
          throw new Error(`${message.clientId}: ${JSON.stringify(ack)}`);
        }
        stats.refused.push(ack.error.code);
        await pause(100);
      }
    }
  }
}

/** The ack, or nothing if the connection went or the time ran out. */
function emit(socket, event, payload) {
  return new Promise((resolve) => {
    const gone = () => resolve(undefined);
    socket.once('disconnect', gone);
    socket.timeout(ACK_PATIENCE).emit(event, payload, (error, ack) => {
      socket.off('disconnect', gone);
      resolve(error ? undefined : ack);
    });
  });
}

const at = (sorted, q) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] * 10) / 10;

async function inParallel(jobs, width = 8) {
  const results = [];
  const queue = jobs.entries();
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const [i, job] of queue) results[i] = await job();
    }),
  );
  return results;
}

// --- the run ---

const people = await inParallel(Array.from({ length: SENDERS }, (_, i) => () => person(`sender${i}`)));
const rooms = await inParallel(
  Array.from({ length: CONVERSATIONS }, (_, c) => async () => {
    const members = people.filter((_, i) => i % CONVERSATIONS === c);
    const { id } = await members[0].group(`Load ${c}`, ...members.slice(1));
    return { id, members };
  }),
);
const talkers = rooms.flatMap(({ id, members }) =>
  members.map((someone) => {
    const i = people.indexOf(someone);
    return new Talker(someone, id, Math.floor(MESSAGES / SENDERS) + (i < MESSAGES % SENDERS ? 1 : 0));
  }),
);
await inParallel(talkers.map((t) => () => t.start()), 16);
console.log(`# ${SENDERS} senders in ${CONVERSATIONS} conversations, ${MESSAGES} messages`);

const began = performance.now();
let said = -1;
const progress = setInterval(() => {
  if (stats.acked !== said) console.log(`progress ${(said = stats.acked)} ${MESSAGES}`);
}, 50);
await Promise.all(talkers.map((t) => t.send()));
const seconds = (performance.now() - began) / 1000;
clearInterval(progress);
console.log(`progress ${stats.acked} ${MESSAGES}`);

// --- the reckoning ---

const lost = [];
const doubled = [];
const gaps = [];
const unseen = [];
for (const { id, members } of rooms) {
  const history = await members[0].history(id);
  const mine = talkers.filter((t) => t.conversation === id);

  history.forEach((m, i) => {
    if (m.seq !== i + 1) gaps.push(`${id}: ${m.seq} at place ${i + 1}`);
  });
  const bySeq = new Map(history.map((m) => [m.seq, m.id]));
  const keys = new Set();
  for (const m of history) {
    if (keys.has(m.content)) doubled.push(m.content);
    keys.add(m.content);
  }
  for (const talker of mine) {
    for (const [clientId, { id: messageId, seq }] of talker.acks) {
      if (bySeq.get(seq) !== messageId) lost.push(`${clientId} seq ${seq}`);
    }
  }
  for (const talker of mine) {
    await waitFor(() => talker.complete >= history.length, '', 15_000).catch(() =>
      unseen.push(`${talker.someone.id} has ${talker.complete} of ${history.length}`),
    );
    for (const [seq, messageId] of talker.messages) {
      if (bySeq.get(seq) !== messageId) unseen.push(`${talker.someone.id}: another message at ${seq}`);
    }
  }
}

const latencies = stats.latencies.sort((a, b) => a - b);
const report = {
  senders: SENDERS,
  conversations: CONVERSATIONS,
  messages: MESSAGES,
  acked: stats.acked,
  sentTwice: stats.sentTwice,
  repeatedAfterNoAnswer: stats.repeated,
  connects: stats.connects,
  rateLimited: stats.rateLimited,
  unavailable: stats.refused.length,
  seconds: Math.round(seconds * 100) / 100,
  ackedPerSecond: Math.round(stats.acked / seconds),
  ackMs: { p50: at(latencies, 0.5), p99: at(latencies, 0.99), max: at(latencies, 1) },
  lost: lost.length,
  doubled: doubled.length,
  gaps: gaps.length,
  doubledAtClients: stats.doubledAtClients.length,
  outOfOrderAtClients: stats.outOfOrderAtClients.length,
  differentAcks: stats.differentAcks.length,
  unseen: unseen.length,
  examples: [
    ...lost,
    ...doubled,
    ...gaps,
    ...stats.doubledAtClients,
    ...stats.outOfOrderAtClients,
    ...stats.differentAcks,
    ...unseen,
  ].slice(0, 20),
};
console.log(JSON.stringify(report, null, 2));
if (values.report) await writeFile(values.report, `${JSON.stringify(report, null, 2)}\n`);

await check('every message was acknowledged', () => equal(report.acked, MESSAGES, 'acked'));
for (const what of ['lost', 'doubled', 'gaps', 'doubledAtClients', 'outOfOrderAtClients', 'differentAcks', 'unseen']) {
  await check(`0 ${what}`, () => equal(report[what], 0, what));
}
process.exit(0);

function equal(is, should, what) {
  if (is !== should) throw new Error(`${what}: ${is} instead of ${should}`);
}
