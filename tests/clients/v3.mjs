// The previous major version of the JavaScript client connects and talks.
//
//   node v3.mjs

import assert from 'node:assert/strict';
import { io } from 'socket.io-client-v3';
import { cast, check, waitFor } from './lib.mjs';

for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
  await check(`v3 over ${transports.join(' then ')}: join, send, hear, come back`, () =>
    cast(['old', 'new'], async (old, recent) => {
      const { id } = await old.direct(recent);
      const joins = [];
      const client = await old.connect({
        make: io,
        transports,
        onConnect: (socket) =>
          socket.emit('conversation:join', { conversationId: id, after: 0 }, (ack) => joins.push(ack)),
      });
      const other = await recent.connect();
      await other.done('conversation:join', id);
      await waitFor(() => joins.length === 1, 'the join');
      assert.equal((await client.next('connected')).userId, old.id);

      const sent = await client.done('message:send', { conversationId: id, content: 'from v3' });
      assert.equal((await other.next('message:new')).id, sent.message.id);
      const back = await other.done('message:send', { conversationId: id, content: 'from v4' });
      await client.next('message:new', (m) => m.id === back.message.id);
      await client.done('message:read', { messageId: back.message.id });
      await other.next('message:read', (r) => r.messageId === back.message.id);

      if (transports.length > 1) {
        await waitFor(() => client.socket.io.engine.transport.name === 'websocket', 'the upgrade');
      }
      client.socket.io.engine.close();
      await waitFor(() => joins.length === 2, 'the join after the reconnect');
      assert.deepEqual(joins[1].messages.map((m) => m.content), ['from v3', 'from v4']);
      await client.refused(['forbidden', 'not_found'], 'conversation:join', 'never-was');
    }),
  );
}

process.exit(0);
