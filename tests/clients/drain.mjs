// The gateway is told to stop with everybody connected and in mid-talk, and another takes its place:
// everybody comes back by themselves, and what was acknowledged is there once.
//
// Prints `terminate` when whoever runs this should send SIGTERM, wait for the end and start the
// gateway again.

import assert from 'node:assert/strict';
import { check, pause, person, waitFor } from './lib.mjs';

const CROWD = 60;
const KINDS = { websocket: ['websocket'], polling: ['polling'], upgraded: ['polling', 'websocket'] };

const writer = await person('writer');
const crowd = await Promise.all(Array.from({ length: 6 }, (_, n) => person(`crowd${n}`)));
const room = await writer.group('drained', ...crowd);

/** Connects a device that remembers how its connection ended. */
async function device(someone, transports) {
  const ends = [];
  const client = await someone.connect({ transports });
  if (transports.length > 1) {
    await waitFor(() => client.socket.io.engine.transport.name === 'websocket', 'the upgrade');
  }
  client.socket.on('disconnect', (reason) => ends.push(reason));
  return { client, ends };
}

const devices = {};
for (const [kind, transports] of Object.entries(KINDS)) devices[kind] = await device(crowd[0], transports);
const rest = [];
for (let n = 0; n < CROWD; n += 1) rest.push(await device(crowd[n % crowd.length], ['websocket']));
const pen = await device(writer, ['websocket']);

const acked = [];
let writing = true;

/** Sends one after the other; what is not answered is sent again under the same clientId. */
async function write() {
  for (let n = 0; writing; n += 1) {
    const message = { conversationId: room.id, content: `line ${n}`, clientId: `${writer.id}-${n}` };
    for (let done = false; !done; ) {
      const ack = await pen.client.socket.timeout(2000).emitWithAck('message:send', message).catch(() => undefined);
      done = ack?.ok === true;
      if (done) acked.push(ack.message);
      else await pause(20);
    }
  }
}
const written = write();

await check('everybody is told to go in a way that they come back from', async () => {
  await waitFor(() => acked.length > 50, 'the talk to begin');
  console.log('terminate');
  const all = [...Object.values(devices), ...rest, pen];
  await waitFor(() => all.every(({ ends }) => ends.length > 0), 'everybody to be let go');
  await waitFor(() => all.every(({ client }) => client.socket.connected), 'everybody to come back', 60_000);
  for (const [kind, { ends }] of Object.entries(devices)) {
    assert.deepEqual(ends, ['transport close'], kind);
  }
  for (const { ends } of rest) assert.deepEqual(ends, ['transport close']);
});

await check('what was acknowledged is there once and in order', async () => {
  const before = acked.length;
  await waitFor(() => acked.length > before + 20, 'the talk to go on');
  writing = false;
  await written;
  const history = await writer.history(room.id);
  assert.deepEqual(history.map((m) => m.seq), history.map((_, n) => n + 1));
  const found = new Map(history.map((m) => [m.id, m.content]));
  for (const message of acked) assert.equal(found.get(message.id), message.content);
  assert.equal(new Set(history.map((m) => m.content)).size, history.length, 'nothing is there twice');
});

process.exit(0);
