// Many clients at once against a gateway that takes few: all get in by themselves, and are told why
// they have to wait. The gateway takes 10 at once and 20 a second.

import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import { GATEWAY, check, person, waitFor } from './lib.mjs';

const HERD = 60;
const someone = await person('herd');

/** A client of that transport, and the errors that it saw while it tried to connect. */
function come(transport) {
  const socket = io(GATEWAY, {
    transports: [transport],
    auth: { token: someone.token },
    forceNew: true,
    reconnectionDelay: 200,
    reconnectionDelayMax: 1000,
  });
  const errors = [];
  // The text is gone once the request is cleaned up.
  socket.on('connect_error', (error) => errors.push({ error, text: error.context?.responseText }));
  return { transport, socket, errors };
}

await check('a herd gets in by itself', async () => {
  const herd = Array.from({ length: HERD }, (_, n) => come(n % 2 ? 'websocket' : 'polling'));
  await waitFor(() => herd.every(({ socket }) => socket.connected), 'all to be in', 60_000);
  const errors = (transport) => herd.filter((c) => c.transport === transport).flatMap((c) => c.errors);
  for (const transport of ['polling', 'websocket']) {
    assert.ok(errors(transport).length > 0, `${transport}: nobody had to wait`);
  }
  for (const { error, text } of errors('polling')) {
    assert.equal(error.description, 503);
    const problem = JSON.parse(text);
    assert.equal(problem.code, 'unavailable');
    assert.ok(problem.retryable && problem.retryAfterMs >= 1000);
  }
  for (const { error } of errors('websocket')) assert.match(error.description.message, /503/);
  for (const { socket } of herd) socket.disconnect();
});

process.exit(0);
