// Devices that talk, keep what they hear, and notice what must not be: a message twice, or out of order, or
// two answers to one clientId. A send without an answer is repeated with its clientId. A device that comes
// back joins with the last seq that it has without a gap.

import { pause, waitFor } from './lib.mjs';

const ACK_PATIENCE = 10_000;

/** How long to wait for the end of it all: the gateway may be down for a while in between. */
export const LONG = 600_000;

/** Refusals that ask for another try. */
const PASSING = ['unavailable', 'internal'];

/** What talkers count together. */
export const counters = () => ({
  acked: 0,
  repeated: 0,
  sentTwice: 0,
  connects: 0,
  rateLimited: 0,
  slowest: 0, // ms from the first try of a send to its ack; whoever reads it may set it back
  doubledAtClients: [],
  outOfOrderAtClients: [],
  differentAcks: [],
  refused: [],
  latencies: [],
});

/** A device of somebody in one conversation: sends, and keeps what it heard. */
export class Talker {
  constructor(someone, conversation, stats) {
    this.someone = someone;
    this.conversation = conversation;
    this.stats = stats;
    this.messages = new Map(); // seq -> id
    this.complete = 0; // every seq up to here is known
    this.acks = new Map(); // clientId -> { id, seq }
    this.ready = false;
  }

  /** Connects, with these options of `Person.connect`, and joins. */
  async start(options = {}) {
    this.client = await this.someone.connect({
      onConnect: (socket) => this.#arrived(socket).catch((e) => this.stats.refused.push(`join: ${e.message}`)),
      reconnectionDelay: 100,
      reconnectionDelayMax: 1000,
      ...options,
    });
    this.socket = this.client.socket;
    this.client.socket.offAny(); // the log of so many messages would only take memory
    this.socket.on('disconnect', () => (this.ready = false));
    this.socket.on('message:new', (message) => this.#heard(message));
    await waitFor(() => this.ready, 'the first join', LONG);
  }

  /** After each connect: what was missed, in pages. */
  async #arrived(socket) {
    this.stats.connects += 1;
    this.live = new Set(); // seqs heard live on this connection
    this.newest = 0;
    let more = true;
    while (more && socket.connected) {
      const ask = { conversationId: this.conversation, after: this.complete };
      const ack = await emit(socket, 'conversation:join', ask);
      if (!ack) continue; // too late, or gone: then the next connect does it
      if (!ack.ok) {
        if (!PASSING.includes(ack.error?.code)) throw new Error(JSON.stringify(ack.error));
        await pause(100);
        continue;
      }
      for (const message of ack.messages) this.#keep(message);
      more = ack.hasMore;
    }
    if (!more) this.ready = socket.connected;
  }

  #heard(message) {
    const where = `${this.someone.id} seq ${message.seq}`;
    if (this.live.has(message.seq)) this.stats.doubledAtClients.push(where);
    if (message.seq < this.newest) this.stats.outOfOrderAtClients.push(`${where} after ${this.newest}`);
    this.live.add(message.seq);
    this.newest = Math.max(this.newest, message.seq);
    this.#keep(message);
  }

  #keep({ seq, id }) {
    const known = this.messages.get(seq);
    if (known && known !== id) this.stats.differentAcks.push(`${this.conversation} seq ${seq}: ${known}, ${id}`);
    this.messages.set(seq, id);
    while (this.messages.has(this.complete + 1)) this.complete += 1;
  }

  /** Says its nth message, and every tenth twice at the same time; answers `{ id, seq }`. */
  async say(n) {
    const clientId = `${this.someone.id}-${n}`;
    const message = { conversationId: this.conversation, content: `${clientId} says hello`, clientId };
    if (n % 10 === 0) {
      this.stats.sentTwice += 1;
      await Promise.all([this.#deliver(message), this.#deliver(message)]);
    } else {
      await this.#deliver(message);
    }
    this.stats.acked += 1;
    return this.acks.get(clientId);
  }

  /** Sends until there is an ack. */
  async #deliver(message) {
    const first = performance.now();
    for (let tries = 0; ; tries += 1) {
      await waitFor(() => this.socket.connected, `${this.someone.id} to be connected`, LONG);
      if (tries > 0) this.stats.repeated += 1;
      const began = performance.now();
      const ack = await emit(this.socket, 'message:send', message);
      if (ack?.ok) {
        this.stats.latencies.push(performance.now() - began);
        const { id, seq } = ack.message;
        this.stats.slowest = Math.max(this.stats.slowest, performance.now() - first);
        const known = this.acks.get(message.clientId);
        if (known && (known.id !== id || known.seq !== seq)) this.stats.differentAcks.push(message.clientId);
        this.acks.set(message.clientId, { id, seq });
        this.#keep(ack.message); // the connection that sent it hears nothing else of it
        return;
      }
      if (ack?.error?.code === 'rate_limited') {
        this.stats.rateLimited += 1;
        await pause(ack.error.retry_after_ms);
      } else if (ack) {
        if (!PASSING.includes(ack.error?.code)) {
          throw new Error(`${message.clientId}: ${JSON.stringify(ack)}`);
        }
        this.stats.refused.push(ack.error.code);
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

/** A quantile of sorted numbers, to a tenth. */
export const at = (sorted, q) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] * 10) / 10;

/** Runs the jobs, so many at a time. */
export async function inParallel(jobs, width = 8) {
  const results = [];
  const queue = jobs.entries();
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const [i, job] of queue) results[i] = await job();
    }),
  );
  return results;
}
