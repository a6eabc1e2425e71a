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
import { check, person, waitFor } from './lib.mjs';
import { Talker, at, counters, inParallel } from './talkers.mjs';

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
const stats = counters();

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
    const talker = new Talker(someone, id, stats);
    talker.share = Math.floor(MESSAGES / SENDERS) + (i < MESSAGES % SENDERS ? 1 : 0);
    return talker;
  }),
);
await inParallel(talkers.map((t) => () => t.start()), 16);
console.log(`# ${SENDERS} senders in ${CONVERSATIONS} conversations, ${MESSAGES} messages`);

const began = performance.now();
let said = -1;
const progress = setInterval(() => {
  if (stats.acked !== said) console.log(`progress ${(said = stats.acked)} ${MESSAGES}`);
}, 50);
await Promise.all(
  talkers.map(async (talker) => {
    for (let n = 1; n <= talker.share; n += 1) await talker.say(n);
  }),
);
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
  const all = () => mine.every((t) => t.complete >= history.length);
  if (unseen.length === 0) await waitFor(all, 'the last messages').catch(() => {});
  for (const talker of mine) {
    if (talker.complete < history.length) {
      unseen.push(`${talker.someone.id} has ${talker.complete} of ${history.length}`);
    }
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
