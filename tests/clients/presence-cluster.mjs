// Presence of people with devices on several nodes, while nodes are killed and Redis is emptied.
//
//   node presence-cluster.mjs URL URL URL
//
// The arguments are the nodes' URLs, CLUSTER_OPS is where their operators look. Prints `do node 2 kill`, `do redis stop` and the like
// when whoever runs this should do it (nodes are counted from 0; Redis starts empty), and waits for the
// effect.

import assert from 'node:assert/strict';
import { cast, check, pause, waitFor } from './lib.mjs';

const nodes = process.argv.slice(2);
const ops = process.env.CLUSTER_OPS.split(',');
assert.ok(nodes.length >= 3, 'three nodes are needed');

/** What the promise allows between a kill and the word of it, in milliseconds. */
const WITHIN = 15_000;
/** Long enough for what should not come to have come: more than the grace and a heartbeat. */
const QUIET = Number(process.env.QUIET_MS ?? 4_000);

const on = (n, options = {}) => ({ gateway: nodes[n], ...options });
const of = (someone) => (word) => word.userId === someone.id;

/** How a person is, as a node tells over REST. */
async function how(n, watcher, someone) {
  const answer = await fetch(`${nodes[n]}/api/presence?users=${someone.id}`, {
    headers: { authorization: `Bearer ${watcher.token}` },
  });
  return (await answer.json()).presence[0];
}

/** Everything that was said of a person to these devices. */
const said = (event, someone, devices) => devices.map((d) => d.heard(event, of(someone)).length);
const total = (counts) => counts.reduce((sum, n) => sum + n, 0);

await check('a phone on one node and a laptop on another are one person', async () => {
  await cast(['ann', 'bob'], async (ann, bob) => {
    await ann.direct(bob);
    const watching = [];
    for (const n of [0, 1, 2]) watching.push(await bob.connect(on(n)));
    const phone = await ann.connect(on(0));
    for (const device of watching) await device.next('user:online', of(ann));
    const laptop = await ann.connect(on(1));
    assert.equal((await how(1, bob, ann)).online, true);
    assert.equal((await how(2, bob, ann)).online, true, 'a node without any of the devices knows');

    await laptop.done('user:status', 'busy');
    await waitFor(async () => (await how(2, bob, ann)).status === 'busy', 'the status on every node');
    for (const device of watching) device.forget();
    phone.close();
    await pause(QUIET);
    assert.equal(total(said('user:offline', ann, watching)), 0, 'the laptop is left');
    assert.deepEqual(await how(0, bob, ann), { userId: ann.id, online: true, status: 'busy', lastSeen: null });

    // A page is reloaded, and the balancer sends it to another node.
    laptop.close();
    const reloaded = await ann.connect(on(0));
    await pause(QUIET);
    assert.equal(total(said('user:offline', ann, watching)), 0, 'a reload is hidden');
    assert.equal(total(said('user:online', ann, watching)), 0, 'a reload is hidden');
    assert.equal((await how(1, bob, ann)).status, 'busy');
    reloaded.close();
    for (const device of watching) await device.next('user:offline', of(ann));
    const gone = await how(2, bob, ann);
    assert.equal(gone.online, false);
    assert.ok(Date.now() - Date.parse(gone.lastSeen) < 60_000, 'when they were last seen');
    await pause(QUIET);
    assert.equal(total(said('user:offline', ann, watching)), 0, 'it is said once');
  });
});

await check('an emptied Redis is told again, and nobody is announced anew', async () => {
  await cast(['ann', 'bob', 'cat'], async (ann, bob, cat) => {
    const { id } = await bob.group('all', ann, cat);
    const first = await ann.connect(on(0));
    const devices = [first, await bob.connect(on(0))];
    await first.next('user:online', of(bob));
    const far = await bob.connect(on(1));
    devices.push(far);
    await cat.connect(on(2));
    for (const device of devices) await device.next('user:online', of(cat));
    // The first node said it later than whatever it had to say of bob.
    await first.done('message:send', { conversationId: id, content: 'here we are' });
    await far.next('notification:new');
    for (const device of devices) device.forget();
    console.log('do redis start');
    await pause(QUIET);
    for (const n of [0, 1, 2]) {
      const known = async () => {
        const all = await Promise.all([ann, cat].map((someone) => how(n, bob, someone)));
        return all.every((one) => one.online);
      };
      await waitFor(known, `node ${n} to know everybody again`);
    }
    for (const someone of [ann, bob, cat]) {
      for (const event of ['user:online', 'user:offline']) {
        assert.equal(total(said(event, someone, devices)), 0, `${event} of ${someone.id}`);
      }
    }
  });
});

await check('who came while a node was cut off is told there as well, once', async () => {
  await cast(['ann', 'bob', 'cat'], async (ann, bob, cat) => {
    const { id } = await ann.group('Apart', bob, cat);
    const [near, far] = [await bob.connect(on(0)), await bob.connect(on(1))];
    await cat.connect(on(1));
    for (const device of [near, far]) await device.next('user:online', of(cat));
    await near.done('conversation:join', id);
    console.log('do line 0 cut');
    await waitFor(async () => (await (await fetch(`${ops[0]}/ready`)).json()).status === 'degraded', 'the cut');
    await ann.connect(on(1));
    await far.next('user:online', of(ann));
    console.log('do line 0 mend');
    await near.next('user:online', of(ann), WITHIN);
    await pause(QUIET);
    for (const device of [near, far]) {
      for (const event of ['user:online', 'user:offline']) assert.equal(total(said(event, ann, [device])), 0, 'once');
      assert.equal(total(said('user:offline', cat, [device])), 0, 'cat was never away');
    }
  });
});

await check('the people of a killed node are offline in time, once', async () => {
  await cast(['ann', 'bob', 'cat', 'dan'], async (ann, bob, cat, dan) => {
    await bob.group('all', ann, cat, dan);
    const devices = [await bob.connect(on(0)), await bob.connect(on(1))];
    // Nobody comes back from where they were.
    const stay = { reconnection: false };
    await ann.connect(on(2, stay));
    await cat.connect(on(2, stay));
    await cat.connect(on(1, stay));
    await dan.connect(on(2, stay));
    await waitFor(async () => (await how(1, bob, ann)).online, 'ann to be online');
    for (const device of devices) device.forget();
    const killed = performance.now();
    console.log('do node 2 kill');
    await waitFor(() => dan.clients[0].socket.connected === false, 'the node to be gone');
    // Dan goes on elsewhere.
    await dan.connect(on(1, stay));
    const told = () => said('user:offline', ann, devices).every((heard) => heard > 0);
    await waitFor(told, 'ann to be told offline on every node', WITHIN);
    console.log(`ann was told offline after ${Math.round(performance.now() - killed)} ms`);
    await pause(QUIET);
    assert.deepEqual(said('user:offline', ann, devices), [1, 1], 'told once');
    for (const someone of [cat, dan]) {
      assert.equal(total(said('user:offline', someone, devices)), 0, `${someone.id} is elsewhere`);
      assert.equal((await how(0, bob, someone)).online, true);
    }
    assert.equal((await how(0, bob, ann)).online, false);
  });
});

await check('who left or came while Redis was away is told so once', async () => {
  await cast(['ann', 'bob', 'cat'], async (ann, bob, cat) => {
    await bob.group('all', ann, cat);
    const devices = [await bob.connect(on(0)), await bob.connect(on(1))];
    const left = await ann.connect(on(0));
    for (const device of devices) await device.next('user:online', of(ann));
    for (const device of devices) device.forget();
    console.log('do redis stop');
    await waitFor(async () => !(await how(1, bob, ann)).online, 'the other node to be on its own');
    left.close();
    await cat.connect(on(0));
    await devices[0].next('user:offline', of(ann));
    await devices[0].next('user:online', of(cat));
    console.log('do redis start');
    await devices[1].next('user:offline', of(ann));
    await devices[1].next('user:online', of(cat));
    await pause(QUIET);
    for (const someone of [ann, cat]) {
      for (const event of ['user:online', 'user:offline']) {
        assert.equal(total(said(event, someone, devices)), 0, `${event} of ${someone.id} again`);
      }
    }
  });
});

await check('the people of a node that died while Redis was away are offline in time, once', async () => {
  await cast(['ann', 'bob', 'cat'], async (ann, bob, cat) => {
    await bob.group('all', ann, cat);
    const told = await bob.connect(on(0));
    const stay = { reconnection: false };
    await ann.connect(on(1, stay));
    await cat.connect(on(1, stay));
    await cat.connect(on(0));
    await told.next('user:online', of(ann));
    const since = Date.now();
    told.forget();
    console.log('do redis stop');
    console.log('do node 1 kill');
    await waitFor(() => !ann.clients[0].socket.connected, 'the node to be gone');
    console.log('do redis start');
    const began = performance.now();
    await told.next('user:offline', of(ann), WITHIN);
    console.log(`ann was told offline ${Math.round(performance.now() - began)} ms after Redis was back`);
    await pause(QUIET);
    for (const someone of [ann, cat]) assert.equal(total(said('user:offline', someone, [told])), 0, someone.id);
    const gone = await how(0, bob, ann);
    assert.equal(gone.online, false);
    assert.ok(Date.parse(gone.lastSeen) >= since, `last seen ${gone.lastSeen}`);
    assert.equal((await how(0, bob, cat)).online, true);
  });
});

process.exit(0);
