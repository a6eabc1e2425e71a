// Long messages travel compressed, in both directions and over both transports, and short ones do
// not; a client that cannot decompress gets everything plain.
//
//   node compression.mjs

import assert from 'node:assert/strict';
import { check, GATEWAY, person, waitFor } from './lib.mjs';

const [ann, bob] = await Promise.all(['ann', 'bob'].map((name) => person(name)));
const room = await ann.group('Long letters', bob);
const LONG = 'So long, and thanks for all the fish. '.repeat(200);

/** How many bytes the WebSocket of this client has received and sent. */
const bytes = ({ socket }) => {
  const { bytesRead, bytesWritten } = socket.io.engine.transport.ws._socket;
  return { bytesRead, bytesWritten };
};

await check('WebSocket: the client compresses, the room gets one compressed frame', async () => {
  const [mouth, ear] = [await ann.connect(), await bob.connect()];
  assert.match(mouth.socket.io.engine.transport.ws.extensions, /permessage-deflate/);
  await ear.done('conversation:join', room.id);
  const before = { mouth: bytes(mouth), ear: bytes(ear) };
  await mouth.done('message:send', { conversationId: room.id, content: LONG });
  const { content } = await ear.next('message:new');
  assert.equal(content, LONG);
  assert.ok(bytes(mouth).bytesWritten - before.mouth.bytesWritten < LONG.length / 5, 'sent compressed');
  assert.ok(bytes(ear).bytesRead - before.ear.bytesRead < LONG.length / 5, 'received compressed');
  const unusual = 'ünïcödé 🎉 "quoted" \\ '.repeat(300);
  await mouth.done('message:send', { conversationId: room.id, content: unusual });
  assert.equal((await ear.next('message:new')).content, unusual);
});

await check('WebSocket: a client without the extension gets plain frames', async () => {
  const ear = await bob.connect({ perMessageDeflate: false });
  assert.equal(ear.socket.io.engine.transport.ws.extensions, '');
  const before = bytes(ear);
  const { messages } = await ear.done('conversation:join', room.id);
  assert.equal(messages[0].content, LONG);
  assert.ok(bytes(ear).bytesRead - before.bytesRead > LONG.length);
  ear.close();
});

await check('polling: long answers are compressed for those who accept it', async () => {
  const poll = (sid, options = {}) =>
    fetch(`${GATEWAY}/socket.io/?EIO=4&transport=polling${sid ? `&sid=${sid}` : ''}`, options);
  const opened = await poll();
  assert.equal(opened.headers.get('content-encoding'), null, 'a short answer');
  const { sid } = JSON.parse((await opened.text()).slice(1));
  const say = (body) => poll(sid, { method: 'POST', body });
  await say(`40${JSON.stringify({ token: bob.token })}`);
  let heard = '';
  await waitFor(async () => (heard += await (await poll(sid)).text()).includes('"connected"'), 'the greeting');
  await say(`420${JSON.stringify(['conversation:join', room.id])}`);
  const encodings = [];
  await waitFor(async () => {
    const answer = await poll(sid);
    encodings.push(answer.headers.get('content-encoding'));
    const text = await answer.text();
    if (text === '2') await say('3');
    return text.includes(LONG);
  }, 'the page');
  assert.equal(encodings.at(-1), 'gzip');
});

process.exit(0);
