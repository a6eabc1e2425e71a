// What the checks of the standard dialect share: the transport under test, the gateway's timings,
// and short words for what they do most.

import assert from 'node:assert/strict';

export const mode = process.argv[2] ?? 'websocket';
export const transports = { websocket: ['websocket'], polling: ['polling'], upgrade: ['polling', 'websocket'] }[mode];
assert.ok(transports, 'usage: node standard.mjs websocket|polling|upgrade');

const number = (name, otherwise) => Number(process.env[name] ?? otherwise);
export const GRACE = number('PORCHLIGHT_CHAT_PRESENCE_GRACE_MS', 5000);
export const TYPING = number('PORCHLIGHT_CHAT_TYPING_TIMEOUT_MS', 3000);
export const BURST = number('PORCHLIGHT_LIMITS_EVENTS_BURST', 20);

export const connect = (who, options) => who.connect({ transports, ...options });
export const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
export const contents = (messages) => messages.map((m) => m.content);
export const seqs = (messages) => messages.map((m) => m.seq);
export const upTo = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Two people in their direct conversation, both in its room. */
export async function talk(alice, bob) {
  const { id } = await alice.direct(bob);
  const [a, b] = await Promise.all([connect(alice), connect(bob)]);
  await Promise.all([a.done('conversation:join', id), b.done('conversation:join', id)]);
  return { id, a, b };
}

export const send = (client, conversationId, content, more = {}) =>
  client.done('message:send', { conversationId, content, ...more }).then((ack) => ack.message);
