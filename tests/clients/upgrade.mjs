// Clients that begin by polling and upgrade to WebSocket in the middle of a lively conversation:
// each hears every message once and in order, and none before the answer to its own join.
//
//   node upgrade.mjs [--clients 30] [--rounds 4]
//
// The gateway's limits must allow the load.

import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import { check, person, waitFor } from './lib.mjs';

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '30' },
    rounds: { type: 'string', default: '4' },
  },
});

const talker = await person('talker');
const listener = await person('listener');
const room = await talker.group('Lively', listener);
const mouth = await talker.connect({});

let talking = true;
let said = 0;
const talk = (async () => {
  while (talking) {
    // Some are long: frames of every length form go out.
    const content = 'x'.repeat(said % 40 === 0 ? 9_000 : said % 7 === 0 ? 300 : 20);
    await mouth.done('message:send', { conversationId: room.id, content });
    said += 1;
  }
})();

/** What one client heard, from its first moment. */
async function listen(transports) {
  const heard = [];
  let joined;
  const client = await listener.connect({
    transports,
    onConnect: (socket) => {
      socket.on('message:new', ({ seq }) => heard.push(seq));
      socket.emit('conversation:join', room.id, (ack) => {
        assert.ok(ack.ok, JSON.stringify(ack));
        joined = { seq: ack.lastSeq, before: heard.length };
      });
    },
  });
  const transport = () => client.socket.io.engine.transport.name;
  await waitFor(() => joined, 'the join');
  await waitFor(() => transport() === transports.at(-1), 'the upgrade');
  const upgradedAt = heard.length;
  await waitFor(() => heard.length > upgradedAt + 60, 'sixty messages after the upgrade');
  client.close();
  const expected = heard.map((_, n) => joined.seq + 1 + n);
  assert.deepEqual(heard, expected, `over ${transports}, joined at ${joined.seq}`);
  assert.equal(joined.before, 0, 'live messages follow the answer');
  return heard.length;
}

for (let round = 1; round <= Number(values.rounds); round += 1) {
  await check(`round ${round}: every message once and in order`, async () => {
    const ways = [['polling', 'websocket'], ['polling', 'websocket'], ['websocket'], ['polling']];
    const all = Array.from({ length: Number(values.clients) }, (_, n) => listen(ways[n % ways.length]));
    await Promise.all(all);
  });
}
talking = false;
await talk;
console.log(`# ${said} messages`);
process.exit(0);
