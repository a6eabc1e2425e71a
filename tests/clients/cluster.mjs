// Several nodes, one Redis, one database: what happens at one node is heard at the others.
//
//   node cluster.mjs talk|control|outage|hang|slow|late|death|load
//
// Beside what lib.mjs needs:
//   CLUSTER_NODES    where clients connect, a comma list; the first is PORCHLIGHT_URL
//   CLUSTER_OPS      where each node's operators look, in the same order
//   CLUSTER_API_KEY  the key of service callers
// What should happen to servers is printed as `do redis stop`, for whoever runs this.

import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import { cast, check, pause, waitFor } from './lib.mjs';

const list = (name) => process.env[name].split(',');
const NODES = list('CLUSTER_NODES');
const OPS = list('CLUSTER_OPS');
const LAST = NODES.length - 1;

/** How soon what must not wait has to be there, in milliseconds. */
const SOON = 1000;

/** Connects somebody to a node. */
const at = (who, node, options) =>
  who.connect({ ...options, make: (_, settings) => io(NODES[node], settings) });

const send = (client, conversationId, content, more = {}) =>
  client.done('message:send', { conversationId, content, ...more }).then((ack) => ack.message);

const contents = (client) => client.heard('message:new').map((m) => m.content);
const upTo = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Waits until a client heard exactly these, in this order. */
async function hears(client, expected) {
  await waitFor(() => contents(client).length >= expected.length, `${expected.length} messages at ${client.who}`)
    .catch((e) => { throw new Error(`${e.message}: ${JSON.stringify(contents(client))}`); });
  await client.fence();
  assert.deepEqual(contents(client), expected);
}

/** What `/ready` of a node says. */
async function readiness(node) {
  const answer = await fetch(`${OPS[node]}/ready`);
  return { code: answer.status, ...(await answer.json()) };
}

const ready = (status) =>
  waitFor(
    async () => (await Promise.all(OPS.map((_, n) => readiness(n)))).every((r) => r.status === status),
    `every node to be ${status}`,
  );

async function metric(node, name) {
  const text = await (await fetch(`${OPS[node]}/metrics`)).text();
  const lines = text.split('\n').filter((l) => l.startsWith(name) && /[ {]/.test(l[name.length]));
  return lines.reduce((sum, l) => sum + Number(l.split(' ').at(-1)), 0);
}

const service = (node, path, body) =>
  fetch(NODES[node] + path, {
    method: 'POST',
    headers: { 'x-api-key': process.env.CLUSTER_API_KEY, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  }).then((answer) => assert.equal(answer.status, 202));

/** Two people of one group at two nodes, both in its room. */
async function talk(alice, bob, ...others) {
  const { id } = await alice.group('Apart', bob, ...others);
  const [a, b] = await Promise.all([at(alice, 0), at(bob, LAST)]);
  await Promise.all([a.done('conversation:join', id), b.done('conversation:join', id)]);
  return { id, a, b };
}

const scenes = {
  async talk() {
    await check('every node is ready', () => ready('ready'));

    await check('messages cross, once and in order', () =>
      cast(['alice', 'bob'], async (alice, bob) => {
        const { id, a, b } = await talk(alice, bob);
        for (const n of upTo(1, 15)) await send(a, id, `a${n}`);
        await hears(b, upTo(1, 15).map((n) => `a${n}`));
        for (const n of upTo(1, 15)) await send(b, id, `b${n}`);
        await hears(a, upTo(1, 15).map((n) => `b${n}`));
      }));

    await check('a message sent the moment after a join at another node is heard there', () =>
      cast(['alice', 'bob'], async (alice, bob) => {
        const [a, b] = [await at(alice, 0), await at(bob, LAST)];
        for (const n of upTo(1, 15)) {
          const { id } = await alice.group(`Room ${n}`, bob);
          await a.done('conversation:join', id);
          await b.done('conversation:join', id);
          await send(a, id, `hello ${n}`);
          await b.next('message:new', (m) => m.content === `hello ${n}`, SOON);
        }
      }));

    await check('devices of one user at two nodes', () =>
      cast(['alice', 'bob'], async (alice, bob) => {
        const { id, a } = await talk(alice, bob);
        const laptop = await at(alice, LAST);
        await laptop.done('conversation:join', id);
        await send(a, id, 'from my phone');
        await hears(laptop, ['from my phone']);
        await a.fence();
        assert.deepEqual(contents(a), [], 'the sending device has its ack');
      }));

    await check('a send repeated at another node is the first one', () =>
      cast(['alice', 'bob'], async (alice, bob) => {
        const { id, a, b } = await talk(alice, bob);
        const elsewhere = await at(alice, LAST);
        const first = await send(a, id, 'once', { clientId: 'key' });
        const again = await send(elsewhere, id, 'once', { clientId: 'key' });
        assert.equal(again.id, first.id);
        await send(a, id, 'end');
        await hears(b, ['once', 'end']);
      }));

    await check('who has not joined is notified once', () =>
      cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
        const { id, a } = await talk(alice, bob, carol);
        const c = await at(carol, LAST);
        const elsewhere = await at(carol, 0);
        await send(a, id, 'to all');
        for (const device of [c, elsewhere]) {
          await device.next('notification:new', (n) => n.message === 'to all', SOON);
          await send(a, id, 'and more');
          await device.next('notification:new', (n) => n.message === 'and more', SOON);
          assert.equal(device.heard('notification:new', (n) => n.message === 'to all').length, 0);
        }
      }));

    await check('typing crosses', () =>
      cast(['alice', 'bob'], async (alice, bob) => {
        const { id, a, b } = await talk(alice, bob);
        a.socket.emit('typing:start', id);
        assert.equal((await b.next('typing:start', undefined, SOON)).userId, alice.id);
        a.socket.emit('typing:stop', id);
        await b.next('typing:stop', undefined, SOON);
        await a.fence();
        assert.equal(a.heard('typing:start').length, 0);
      }));

    await check('receipts cross, to the room and to the sender, once', () =>
      cast(['alice', 'bob'], async (alice, bob) => {
        const { id, a, b } = await talk(alice, bob);
        const outside = await at(alice, LAST);
        const beside = await at(alice, 0);
        const message = await send(a, id, 'read me');
        await hears(b, ['read me']);
        await b.done('message:delivered', { conversationId: id, messageId: message.id });
        await b.done('message:read', { conversationId: id, messageId: message.id });
        for (const device of [a, outside, beside]) {
          await device.next('message:read', (r) => r.messageId === message.id, SOON);
          await device.next('message:delivered', undefined, SOON);
        }
        await b.done('typing:start', id);
        await a.next('typing:start', undefined, SOON);
        for (const device of [a, outside, beside]) {
          await device.fence();
          assert.equal(device.heard('message:read').length, 0, `${device.who} heard it once`);
        }
      }));

    await check('ids are as identity providers and mail systems make them', () =>
      cast(['auth0|alice+1@example.org', 'bob@example.org'], async (alice, bob) => {
        const { id, a, b } = await talk(alice, bob);
        await send(a, id, 'hello');
        await hears(b, ['hello']);
        const { presence } = await bob.get(`/api/presence?users=${encodeURIComponent(alice.id)}`);
        assert.deepEqual(presence.map((p) => [p.userId, p.online]), [[alice.id, true]]);
        const path = `/api/service/users/${encodeURIComponent(alice.id)}/emit`;
        await service(LAST, path, { event: 'hello', args: [] });
        await a.next('hello', undefined, SOON);
        await alice.delete(`/api/conversations/${id}/participants/${encodeURIComponent(bob.id)}`);
        await b.next('conversation:deleted', undefined, SOON);
      }));

    await check('a new conversation is told to those at other nodes', () =>
      cast(['alice', 'bob'], async (alice, bob) => {
        const b = await at(bob, LAST);
        const { id } = await alice.group('News', bob);
        await b.next('conversation:updated', (c) => (c.id ?? c.conversation?.id) === id, SOON);
      }));

    if (NODES.length > 2) {
      await check('a node without anybody in a room is told nothing of it', () =>
        cast(['alice', 'bob'], async (alice, bob) => {
          const { id, a, b } = await talk(alice, bob);
          const before = await metric(1, 'porchlight_bus_received_total');
          for (const n of upTo(1, 15)) await send(a, id, `${n}`);
          await hears(b, upTo(1, 15).map(String));
          assert.equal(await metric(1, 'porchlight_bus_received_total'), before);
        }));
    }

    // What concerns every node: orders, other backends' broadcasts and requests, and python-socketio's
    // channel.
    const always = 4;
    await check('a node listens to nothing that nobody there is in', async () => {
      for (const node of NODES.keys()) {
        await waitFor(async () => (await metric(node, 'porchlight_bus_subscriptions')) === always, `node ${node} to listen to nothing more`);
      }
    });
  },

  async control() {
    await check('a participant removed at another node hears nothing more', () =>
      cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
        const { id, a, b } = await talk(alice, bob, carol);
        await alice.delete(`/api/conversations/${id}/participants/${bob.id}`);
        await b.next('conversation:deleted', undefined, SOON);
        await send(a, id, 'without him');
        await send(a, id, 'at all');
        await b.fence();
        assert.deepEqual(contents(b), []);
        await b.refused('forbidden', 'message:send', { conversationId: id, content: 'let me in' });
      }));

    await check('a conversation deleted at another node is gone', () =>
      cast(['alice', 'bob'], async (alice, bob) => {
        const { id, b } = await talk(alice, bob);
        await alice.delete(`/api/conversations/${id}`);
        await b.next('conversation:deleted', undefined, SOON);
      }));

    await check('a user disconnected at another node is gone within a second, and stays away', () =>
      cast(['alice'], async (alice) => {
        const devices = [await at(alice, 0), await at(alice, LAST)];
        const reasons = devices.map((d) => new Promise((done) => d.socket.once('disconnect', done)));
        const began = performance.now();
        await service(0, `/api/service/users/${alice.id}/disconnect`, {});
        assert.deepEqual(await Promise.all(reasons), ['io server disconnect', 'io server disconnect']);
        assert.ok(performance.now() - began < SOON);
      }));

    for (const transport of ['websocket', 'polling']) {
      await check(`a user revoked at another node is gone within a second and refused: ${transport}`, () =>
        cast(['alice', 'bob'], async (alice, bob) => {
          const { id, a } = await talk(alice, bob);
          const devices = [];
          for (const node of [0, LAST]) devices.push(await at(bob, node, { transports: [transport] }));
          for (const device of devices) await device.done('conversation:join', id);
          const ends = devices.map((d) => new Promise((done) => d.socket.once('disconnect', done)));
          await service(0, `/api/service/users/${bob.id}/revoke`, {});
          const began = performance.now();
          await send(a, id, 'without him');
          assert.deepEqual(await Promise.all(ends), ['io server disconnect', 'io server disconnect']);
          assert.ok(performance.now() - began < SOON);
          for (const device of devices) {
            assert.deepEqual(contents(device), []);
            assert.match(device.heard('error')[0].message, /^token_revoked: /);
            const refused = new Promise((done) => device.socket.once('connect_error', done));
            device.socket.connect();
            assert.match((await refused).message, /^unauthorized: token_revoked: /);
          }
        }));
    }

    await check('a token revoked at another node takes the devices that came by it or by its socket tokens', () =>
      cast(['alice'], async (alice) => {
        const { token } = await alice.post('/api/auth/socket-token');
        const devices = [await at(alice, LAST), await at(alice, LAST, { auth: { token } })];
        const ends = devices.map((d) => new Promise((done) => d.socket.once('disconnect', done)));
        await service(0, '/api/service/tokens/revoke', { token: alice.token });
        assert.deepEqual(await Promise.all(ends), ['io server disconnect', 'io server disconnect']);
      }));

    await check("a backend's own event reaches all devices", () =>
      cast(['alice'], async (alice) => {
        const devices = [await at(alice, 0), await at(alice, LAST)];
        await service(0, `/api/service/users/${alice.id}/emit`, { event: 'hello', args: [{ n: 1 }] });
        for (const device of devices) assert.deepEqual(await device.next('hello', undefined, SOON), { n: 1 });
      }));

    await check('what was published for a node that did not hear it is made good', () =>
      cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
        const { id, a, b } = await talk(alice, bob, carol);
        console.log('do redis stop');
        await ready('degraded');
        await alice.delete(`/api/conversations/${id}/participants/${bob.id}`);
        console.log('do redis start');
        await b.next('conversation:deleted');
        await send(a, id, 'without him');
        await b.fence();
        assert.deepEqual(contents(b), []);
      }));
  },

  async outage() {
    await check('Redis gone for 5 s and back, empty: nothing is lost, doubled or out of order', () =>
      cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
        const { id, a, b } = await talk(alice, bob, carol);
        const outside = await at(carol, 0);
        const farOutside = await at(carol, LAST);
        await send(a, id, '0');
        await hears(b, ['0']);
        console.log('do redis stop');
        await ready('degraded');
        const began = performance.now();
        const c = await at(carol, 0);
        await c.done('conversation:join', id);
        const acked = ['0'];
        for (let n = 1; n <= 20 || performance.now() - began < 5000; n += 1) {
          await send(a, id, `${n}`);
          acked.push(`${n}`);
          await pause(100);
        }
        await hears(c, acked.slice(1));
        await waitFor(() => outside.heard('notification:new').length === acked.length, 'notifications');
        assert.deepEqual(contents(b), ['0'], 'the other node is out of reach');
        console.log('do redis start');
        await hears(b, acked);
        await ready('ready');
        await send(a, id, 'afterwards');
        await b.next('message:new', (m) => m.content === 'afterwards', SOON);
        await hears(c, [...acked.slice(1), 'afterwards']);
        assert.ok((await metric(LAST, 'porchlight_gaps_filled_total')) > 0);
        // Whoever has not joined is notified by the sweeper's publication, at each node once.
        await waitFor(() => farOutside.heard('notification:new').length > acked.length, 'all notifications');
        for (const device of [outside, farOutside]) {
          await device.fence();
          const told = device.heard('notification:new').map((n) => n.message);
          assert.deepEqual(told.sort(), [...acked, 'afterwards'].sort(), device === outside ? 'near' : 'far');
        }
      }));
  },

  async hang() {
    await check('a Redis that hangs holds nobody up', () =>
      cast(['alice', 'bob'], async (alice, bob) => {
        const { id, a, b } = await talk(alice, bob);
        console.log('do redis pause');
        for (const n of upTo(1, 5)) await send(a, id, `${n}`);
        await ready('degraded');
        const { id: other } = await alice.group('Other');
        await a.done('conversation:join', other);
        await send(a, other, 'on my own');
        console.log('do redis resume');
        await hears(b, upTo(1, 5).map(String));
        await ready('ready');
      }));
  },

  async slow() {
    await check('a slow Redis makes late what crosses and nothing else, and it is told', () =>
      cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
        const delay = 500;
        for (const node of NODES.keys()) console.log(`do line ${node} slow ${delay}`);
        const { id, a, b } = await talk(alice, bob, carol);
        const c = await at(carol, 0);
        await c.done('conversation:join', id);
        const texts = upTo(1, 20).map(String);
        const began = performance.now();
        for (const text of texts) await send(a, id, text);
        await hears(c, texts);
        const took = performance.now() - began;
        assert.ok(took < texts.length * delay, `${texts.length} messages on one node took ${took} ms`);
        await hears(b, texts);
        for (const text of texts) await send(b, id, `back ${text}`);
        await hears(a, texts.map((text) => `back ${text}`));
        await ready('degraded');
        for (const node of NODES.keys()) console.log(`do line ${node} mend`);
        await ready('ready');
        await send(a, id, 'in time');
        await b.next('message:new', (m) => m.content === 'in time', SOON);
      }));
  },

  async late() {
    await check('nodes start without Redis and serve their own clients', () =>
      cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
        await ready('degraded');
        for (const [node] of OPS.entries()) assert.equal((await readiness(node)).code, 200);
        const { id, a, b } = await talk(alice, bob, carol);
        const c = await at(carol, 0);
        await c.done('conversation:join', id);
        await send(a, id, 'near');
        await hears(c, ['near']);
        assert.deepEqual(contents(b), []);
        console.log('do redis start');
        await hears(b, ['near']);
        await ready('ready');
        await send(a, id, 'far');
        await hears(b, ['near', 'far']);
      }));
  },

  async death() {
    await check('what a node committed and did not live to publish is published by another', () =>
      cast(['alice', 'bob'], async (alice, bob) => {
        const { id } = await alice.group('Last words', bob);
        const b = await at(bob, 0);
        await b.done('conversation:join', id);
        const a = await at(alice, 1, { reconnection: false });
        await a.done('conversation:join', id);
        const acked = new Set();
        for (const n of upTo(1, 15)) {
          a.socket.emit('message:send', { conversationId: id, content: `${n}` }, (ack) => {
            if (ack.ok) acked.add(ack.message.content);
          });
        }
        await waitFor(() => acked.size > 0, 'the first ack');
        console.log('do node 1 kill');
        await waitFor(() => !a.socket.connected, 'the end');
        await waitFor(async () => {
          const stored = await bob.history(id);
          return contents(b).length === stored.length;
        }, 'all that was committed');
        assert.deepEqual(contents(b), (await bob.history(id)).map((m) => m.content));
        assert.ok([...acked].every((content) => contents(b).includes(content)));
        const again = await at(alice, 2);
        await again.done('conversation:join', id);
        await send(again, id, 'alive');
        await b.next('message:new', (m) => m.content === 'alive', SOON);
      }));
  },

  async load() {
    await check('everybody at every node hears the same in the same order', () =>
      cast(upTo(1, 6).map((n) => `user${n}-`), async (...people) => {
        const { id } = await people[0].group('Crowd', ...people.slice(1));
        const clients = await Promise.all(people.map((who, n) => at(who, n % NODES.length)));
        const order = clients.map(() => []);
        clients.forEach((c, i) => c.socket.on('message:new', (m) => order[i].push(m.seq)));
        await Promise.all(clients.map((c) => c.done('conversation:join', id)));
        const own = await Promise.all(
          clients.map(async (c, i) => {
            const seqs = [];
            for (const n of upTo(1, 40)) seqs.push((await send(c, id, `${i}-${n}`)).seq);
            return seqs;
          }),
        );
        const total = clients.length * 40;
        for (const [i, heard] of order.entries()) {
          await waitFor(() => heard.length + own[i].length >= total, `all at ${clients[i].who}`);
          assert.deepEqual(heard, [...heard].sort((x, y) => x - y), 'in order');
          assert.deepEqual([...heard, ...own[i]].sort((x, y) => x - y), upTo(1, total), 'each once');
        }
      }));
  },
};

await scenes[process.argv[2]]();
process.exit(0);
