// People behind a load balancer with three nodes: over WebSocket, over polling and with an upgrade, while
// nodes are drained, killed and started again.
//
//   node balanced.mjs URL URL URL
//
// PORCHLIGHT_URL is the balancer's; the arguments are the nodes' own. Prints `terminate N`, `kill N` and
// `start N` when whoever runs this should do so to that node, counted from 0.

import assert from 'node:assert/strict';
import { GATEWAY, check, pause, person, waitFor } from './lib.mjs';

const nodes = process.argv.slice(2);
const KINDS = { websocket: ['websocket'], polling: ['polling'], upgraded: ['polling', 'websocket'] };
const names = ['ann', 'bob', 'eve', 'joe'];
const people = await Promise.all(names.map((name) => person(name)));
const room = await people[0].group('Behind a balancer', ...people.slice(1));

/** A device in the room that keeps its place: what it missed is asked for after a reconnect. */
async function device(who, kind) {
  const ends = [];
  const seen = new Map();
  let last = 0;
  const keep = (message) => {
    seen.set(message.seq, (seen.get(message.seq) ?? 0) + 1);
    last = Math.max(last, message.seq);
  };
  const join = async (socket) => {
    for (let more = true; more; ) {
      const ack = await socket.timeout(5000).emitWithAck('conversation:join', { conversationId: room.id, after: last });
      assert.equal(ack.ok, true, JSON.stringify(ack));
      ack.messages.filter((m) => !seen.has(m.seq)).forEach(keep);
      more = ack.hasMore;
    }
  };
  const again = (socket) => join(socket).catch(() => socket.connected && setTimeout(again, 50, socket));
  const client = await who.connect({ transports: KINDS[kind], onConnect: again });
  client.socket.on('message:new', (m) => seen.has(m.seq) || keep(m));
  client.socket.on('disconnect', (reason) => ends.push(reason));
  if (kind === 'upgraded') {
    await waitFor(() => client.socket.io.engine.transport.name === 'websocket', 'the upgrade');
  }
  return { client, kind, ends, seen, who };
}

const devices = [];
for (const kind of Object.keys(KINDS)) {
  for (const who of people) for (let n = 0; n < 2; n += 1) devices.push(await device(who, kind));
}

const acked = new Map();
let sent = 0;

/** Somebody says something until it is acknowledged, again under the same clientId if need be. */
async function say() {
  const { client, who } = devices[sent % devices.length];
  sent += 1;
  const message = { conversationId: room.id, content: `line ${sent}`, clientId: `${room.id}-${sent}` };
  for (;;) {
    const ack = await client.socket.timeout(3000).emitWithAck('message:send', message).catch(() => undefined);
    if (ack?.ok) {
      assert.equal(ack.message.senderId, who.id);
      return acked.set(ack.message.seq, message.content);
    }
    await pause(30);
  }
}

/** Everybody has every message once but what they said themselves, which they may have from a join. */
async function settled() {
  for (const { client, kind, seen, who } of devices) {
    const missing = () =>
      [...acked.keys()].filter((seq) => !seen.has(seq) && !own.get(client)?.has(seq));
    const own = new Map([[client, new Set([...acked].filter(([, text]) => spoke(text) === client).map(([seq]) => seq))]]);
    await waitFor(() => missing().length === 0, `all messages at ${who.id} over ${kind}`, 30_000);
    assert.ok([...seen.values()].every((times) => times === 1), 'nothing twice');
  }
}
const spoke = (text) => devices[(Number(text.split(' ')[1]) - 1) % devices.length].client;

const connected = async (url) => (await (await fetch(`${url}/api/socket/health`)).json()).socket.connected;
const isUp = (url) => connected(url).catch(() => undefined);

await check('WebSockets are spread, and every kind of client talks through the balancer', async () => {
  const counts = await Promise.all(nodes.map(connected));
  assert.equal(counts.reduce((sum, n) => sum + n), devices.length);
  assert.ok(counts.filter((n) => n > 0).length >= 2, `one node has them all: ${counts}`);
  for (let n = 0; n < 2 * devices.length; n += 1) await say();
  await settled();
  for (const { ends, kind } of devices) assert.deepEqual(ends, [], `${kind} was cut off`);
});

/**
 * New people come all the time; none of them must be turned away. A session that begins with polling right
 * when the balancer gives its node up is begun again by the client itself.
 */
async function arrivals(while_) {
  const failures = [];
  let more = true;
  let count = 0;
  const coming = (async () => {
    for (; more; count += 1) {
      const who = people[count % people.length];
      const kind = Object.values(KINDS)[count % 3];
      try {
        const client = await who.connect({ transports: kind, patient: kind[0] === 'polling' });
        client.close();
      } catch (error) {
        failures.push(`${kind}: ${error.message}`);
      }
    }
  })();
  try {
    await while_();
  } finally {
    more = false;
    await coming;
  }
  return { failures, count };
}

const back = () =>
  waitFor(() => devices.every(({ client }) => client.socket.connected), 'everybody to be connected', 60_000);

for (const n of nodes.keys()) {
  await check(`node ${n} is replaced as a rolling deployment does it: nobody new is turned away`, async () => {
    const { failures, count } = await arrivals(async () => {
      console.log(`terminate ${n}`);
      await waitFor(async () => (await isUp(nodes[n])) === undefined, 'the node to end', 60_000);
      for (let i = 0; i < devices.length; i += 1) await say();
      await back();
      console.log(`start ${n}`);
      await waitFor(async () => (await isUp(nodes[n])) !== undefined, 'the node to be back', 60_000);
    });
    assert.deepEqual(failures, [], `of ${count}`);
    await settled();
  });
}

await check('a node is killed: everybody comes back elsewhere and misses nothing', async () => {
  console.log('kill 1');
  await waitFor(async () => (await isUp(nodes[1])) === undefined, 'the node to end');
  for (let i = 0; i < devices.length; i += 1) await say();
  await back();
  await settled();
  console.log('start 1');
  await waitFor(async () => (await isUp(nodes[1])) !== undefined, 'the node to be back', 60_000);
});

await check('the store has each of them once, in order', async () => {
  const history = await people[0].history(room.id);
  assert.deepEqual(history.map((m) => m.seq), history.map((_, i) => i + 1));
  assert.deepEqual(history.map((m) => m.content).sort(), [...acked.values()].sort());
});

console.log(`# behind ${GATEWAY}: all good, ${acked.size} messages`);
process.exit(0);
