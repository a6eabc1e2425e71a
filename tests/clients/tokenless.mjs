// The direct dialect from the client that its document shows, which has no token and says whose it
// is by an event, where the gateway believes it (auth.trust_new_user).
//
//   node tokenless.mjs

import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import { Client, GATEWAY, check, fresh, waitFor } from './lib.mjs';

/** As the document has it: no auth, and the introduction before the connection is there. */
function open(user, transports) {
  const socket = io(GATEWAY, { transports, forceNew: true, reconnectionDelay: 20 });
  socket.emit('newUser', user);
  return new Client(socket, user);
}

let count = 0;
const say = (from, to, text) => ({
  receiverId: to,
  data: { text, senderId: from, chatId: fresh(`chat${(count += 1)}`), timestamp: new Date().toISOString() },
});

for (const transports of [['websocket'], ['polling', 'websocket'], ['polling']]) {
  await check(`without a token, over ${transports.join(' then ')}`, async () => {
    const [alice, bob, eve] = ['alice', 'bob', 'eve'].map((name) => fresh(name + transports.join('')));
    const a = open(alice, transports);
    const message = say(alice, bob, 'are you there?');
    a.socket.emit('sendMessage', message);
    await a.next('getOnlineUsers', (users) => users.includes(alice));
    // Whoever was offline is given it; a reconnect introduces itself as the first time did.
    const b = open(bob, transports);
    const { messageId, type, metadata, ...heard } = await b.next('getMessage');
    assert.deepEqual(heard, message.data);
    await a.next('getOnlineUsers', (users) => users.includes(bob));
    await b.done('sendMessage', say(bob, alice, 'here'));
    assert.equal((await a.next('getMessage')).text, 'here');
    await b.refused('forbidden', 'newUser', alice);
    await b.refused('forbidden', 'sendMessage', say(alice, bob, 'as alice'));

    const x = new Client(io(GATEWAY, { transports, forceNew: true }), eve);
    await waitFor(() => x.socket.connected, 'a connection');
    await x.refused('unauthorized', 'sendMessage', say(eve, bob, 'who?'));
    x.socket.emit('heartbeat', eve);
    assert.equal((await x.next('error')).code, 'unauthorized');
    await x.done('newUser', eve);
    await x.next('getOnlineUsers', (users) => users.includes(eve));
    for (const client of [a, b, x]) client.close();
  });
}

console.log('# without tokens: all good');
process.exit(0);
