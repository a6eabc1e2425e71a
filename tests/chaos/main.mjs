// Steady traffic of real clients behind a balancer while nodes, Redis and PostgreSQL fail in turn: is every
// acknowledged message there, once and in order, for everyone, and is everybody shown as they are?
//
//   node main.mjs [--short] [--rounds 10] [--messages 100000] [--rate 300] [--only WORD,..] [--json FILE]
//
// A round has one fault of each kind; `--only` leaves out those whose name has none of the words. With --short
// there is one round and the outages are short. PORCHLIGHT_URL is the balancer's; CHAOS_NODES and CHAOS_OPS are
// where the nodes listen; see faults.mjs for the rest. Ends with 1 if anything was violated.

import { writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { parseArgs } from 'node:util';
import { pause, person, waitFor } from '../clients/lib.mjs';
import { LONG, Talker, counters, inParallel } from '../clients/talkers.mjs';
import { NODES, allReady, faults, up } from './faults.mjs';
import { compare, table } from './reckoning.mjs';

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    messages: { type: 'string' },
    rate: { type: 'string' },
    only: { type: 'string', default: '' },
    json: { type: 'string' },
  },
});
const { short } = values;
const ROUNDS = Number(values.rounds ?? (short ? 1 : 10));
const MESSAGES = Number(values.messages ?? (short ? 2_000 : 100_000));
const RATE = Number(values.rate ?? (short ? 80 : 300));
const CONVERSATIONS = short ? 24 : 36;
const MEMBERS = 3;
const KINDS = [['websocket'], ['polling'], ['polling', 'websocket'], ['websocket']];

/** How soon presence has to be true again. */
const GHOSTS_AFTER = 15_000;
/** How long healing may take at all. */
const HEAL_WITHIN = 60_000;

const stats = counters();
const violations = [];

// --- people ---

/** An address of loopback for each device, so that the balancer spreads those who poll as well. */
let devices = 0;
function settings() {
  devices += 1;
  const agent = new Agent({ localAddress: `127.0.1.${1 + (devices % 250)}` });
  return { transports: KINDS[devices % KINDS.length], agent, patient: true };
}

const cast = (name, count) => inParallel(Array.from({ length: count }, (_, i) => () => person(`${name}${i}`)));
const people = await cast('talker', CONVERSATIONS * MEMBERS);
const visitors = await cast('visitor', 8);
const watcher = await person('watcher');
const everybody = [...people, ...visitors];
await watcher.group('Everybody', ...everybody);

const rooms = await inParallel(
  Array.from({ length: CONVERSATIONS }, (_, c) => async () => {
    const members = people.slice(c * MEMBERS, (c + 1) * MEMBERS);
    return { id: (await members[0].group(`Room ${c}`, ...members.slice(1))).id, members };
  }),
);
const senders = rooms.flatMap(({ id, members }) => members.map((one) => new Talker(one, id, stats)));
// The first of each room has another device, which only listens.
const listeners = rooms.map(({ id, members }) => new Talker(members[0], id, stats));
const talkers = [...senders, ...listeners];
await inParallel(talkers.map((t) => () => t.start(settings())), 12);
console.log(`# ${talkers.length} devices of ${people.length} people in ${CONVERSATIONS} conversations`);

// --- traffic ---

let over = false;
for (const sender of senders) sender.said = 0;
const speak = (sender) => sender.say((sender.said += 1));
const traffic = senders.map(async (sender) => {
  const gap = (senders.length / RATE) * 1000;
  while (!over) {
    await pause(gap * (0.5 + Math.random()));
    await speak(sender);
  }
});
// Nobody stops early unnoticed.
Promise.all(traffic).catch((error) => violations.push(`a sender gave up: ${error.message}`));

/** Waits until what is said now in every conversation has reached all of its devices. */
async function allHear(ms) {
  const probes = rooms.map(async ({ id }, i) => {
    const { seq } = await speak(senders[i * MEMBERS + Math.floor(Math.random() * MEMBERS)]);
    const mine = talkers.filter((t) => t.conversation === id);
    await waitFor(() => mine.every((t) => t.ready && t.complete >= seq), `seq ${seq} of ${id} at all devices`, ms);
  });
  await Promise.all(probes);
}

// --- presence ---

/** A visitor comes and stays until leaving, or until cut off. */
const come = (visitor) => visitor.connect({ reconnection: false }).catch(() => {});

const isHere = (one) => one.clients.some((client) => client.socket.connected);

/** Who is online, as a node tells. */
async function whoIsShown(n, ids) {
  const answer = await fetch(`${NODES[n]}/api/presence?users=${ids}`, {
    headers: { authorization: `Bearer ${watcher.token}` },
    signal: AbortSignal.timeout(5_000),
  });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return new Map((await answer.json()).presence.map((p) => [p.userId, p.online]));
}

/** Users whom a node shows otherwise than they are: `node 2 shows x online`. */
async function ghosts() {
  const wrong = [];
  const before = everybody.map(isHere);
  const ids = everybody.map((one) => one.id).join(',');
  for (const n of up()) {
    let shown;
    try {
      shown = await whoIsShown(n, ids);
    } catch (error) {
      wrong.push(`node ${n} does not tell: ${error.message}`);
      continue;
    }
    everybody.forEach((one, i) => {
      if (before[i] !== isHere(one) || shown.get(one.id) === before[i]) return;
      wrong.push(`node ${n} shows ${one.id} ${shown.get(one.id) ? 'online without a device' : 'offline with a device'}`);
    });
  }
  return wrong;
}

/** Waits until presence is true, for as long as it may be wrong; answers what is wrong then. */
async function haunted(since) {
  for (;;) {
    const wrong = await ghosts();
    if (wrong.length === 0 || performance.now() - since > GHOSTS_AFTER) return wrong;
    await pause(100);
  }
}

// --- faults ---

const wanted = values.only.split(',').filter(Boolean);
const kinds = Object.entries(faults(short)).filter(
  ([name]) => wanted.length === 0 || wanted.some((word) => name.includes(word)),
);
const results = Object.fromEntries(
  kinds.map(([name]) => [name, { heals: [], presence: [], slowest: 0, ghosts: 0 }]),
);

async function suffer(name, { strike, mend }) {
  const result = results[name];
  await Promise.all(visitors.slice(0, 5).map(come));
  stats.slowest = 0;
  const striking = strike();
  // Some leave while it lasts, some come, as far as they can.
  for (const one of visitors.slice(0, 2)) one.close();
  visitors.slice(5, 7).forEach(come);
  const since = await striking;
  const hauntedBy = haunted(since);
  try {
    if (up().length === NODES.length) await allReady(HEAL_WITHIN);
    await allHear(HEAL_WITHIN);
    result.heals.push(performance.now() - since);
  } catch (error) {
    result.heals.push(Infinity);
    violations.push(`${name}: not healed: ${error.message}`);
  }
  const wrong = await hauntedBy;
  result.presence.push(performance.now() - since);
  result.ghosts += wrong.length;
  violations.push(...wrong.map((what) => `${name}: ${what}`));
  result.slowest = Math.max(result.slowest, stats.slowest);
  await mend();
  await allReady(HEAL_WITHIN);
  for (const one of visitors) one.close();
  const heal = (result.heals.at(-1) / 1000).toFixed(1);
  console.log(`# ${name}: healed after ${heal} s, ${wrong.length} ghosts, ${stats.acked} messages`);
}

const began = performance.now();
const schedule = Array.from({ length: ROUNDS }, () => kinds).flat();
for (const [i, [name, fault]] of schedule.entries()) {
  // Spread over the messages, so that there is traffic before, between and after.
  await waitFor(() => stats.acked >= (MESSAGES * i) / schedule.length, 'the traffic to go on', LONG);
  await suffer(name, fault);
}
await waitFor(() => stats.acked >= MESSAGES, 'the traffic to go on', LONG);
over = true;
await Promise.allSettled(traffic);
const seconds = (performance.now() - began) / 1000;

// --- the reckoning ---

await allHear(HEAL_WITHIN).catch((error) => violations.push(`in the end: ${error.message}`));
const last = await haunted(performance.now());
violations.push(...last.map((what) => `in the end: ${what}`));
const found = await compare(talkers, stats);
const totals = {
  acked: stats.acked,
  stored: found.stored,
  seconds: Math.round(seconds),
  sentTwice: stats.sentTwice,
  repeated: stats.repeated,
  refused: stats.refused.length,
  connects: stats.connects,
  lost: found.lost.length,
  unseen: found.unseen.length,
  doubled: found.doubled.length,
  reordered: found.reordered.length,
  differing: found.differing.length,
  ghosts: last.length + Object.values(results).reduce((sum, r) => sum + r.ghosts, 0),
};
for (const what of ['lost', 'unseen', 'doubled', 'reordered', 'differing']) violations.push(...found[what]);

console.log(`\n${table(results)}\n`);
console.log(
  `${totals.acked} messages acknowledged in ${totals.seconds} s (${totals.repeated} sends repeated, ` +
    `${totals.connects} connects); ${totals.lost} lost, ${totals.unseen} devices that miss some, ` +
    `${totals.doubled} doubled, ${totals.reordered} reordered, ${totals.differing} differing, ${totals.ghosts} ghosts`,
);
for (const what of violations.slice(0, 40)) console.error(`violated: ${what}`);
if (violations.length > 40) console.error(`violated: ${violations.length - 40} more`);
if (values.json) {
  const report = { rounds: ROUNDS, faults: results, totals, violations: violations.slice(0, 1000) };
  await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`);
}
process.exit(violations.length > 0 ? 1 : 0);
