// One conversation, clients of several dialects: each hears every message once, in its own words.
//
//   node together.mjs
//
// The gateway speaks standard at its path; the others choose theirs in the handshake.

import assert from 'node:assert/strict';
import { cast, check, waitFor } from './lib.mjs';
import { DIALECTS, names } from './words.mjs';

/** A device of somebody who speaks that dialect, in the conversation. */
async function enter(who, dialect, id) {
  const { greeting, enter: go } = DIALECTS[dialect];
  const client = await who.connect({ greeting, auth: { token: who.token, dialect } });
  await go(client, id);
  return { client, dialect, who };
}

const heard = ({ client, dialect }) => {
  const [event, facts] = DIALECTS[dialect].heard;
  return client.heard(event).map(facts);
};

/** Everybody says something; everybody hears all of it, in order and once. */
async function everyoneHears(devices, id, rounds) {
  const said = [];
  for (let round = 1; round <= rounds; round += 1) {
    for (const { client, dialect, who } of devices) {
      const text = `${round} from ${who.id} by ${dialect} ${devices.length}`;
      const receiver = devices.find((d) => d.who !== who).who.id;
      await DIALECTS[dialect].say(client, id, text, receiver);
      said.push({ client, facts: [id, who.id, text] });
    }
  }
  for (const device of devices) {
    const { own, echo } = DIALECTS[device.dialect];
    // The connection that said it has its ack, unless it hears it as all others do; other devices of
    // the same user only where the dialect has words for them.
    const expected = said
      .filter((s) => (echo || s.client !== device.client) && (own || s.facts[1] !== device.who.id))
      .map((s) => s.facts);
    await waitFor(() => heard(device).length >= expected.length, `${expected.length} messages by ${device.dialect}`);
    await device.client.fence();
    assert.deepEqual(heard(device), expected, device.dialect);
  }
}

await check(`one person of each dialect in one conversation: ${names.join(', ')}`, () =>
  cast(names, async (...people) => {
    const { id } = await people[0].group('All of us', ...people.slice(1));
    const devices = await Promise.all(people.map((who, n) => enter(who, names[n], id)));
    await everyoneHears(devices, id, 5);
  }));

await check('two people with a device of each dialect', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id } = await alice.direct(bob);
    const all = [alice, bob].flatMap((who) => names.map((dialect) => [who, dialect]));
    const devices = await Promise.all(all.map(([who, dialect]) => enter(who, dialect, id)));
    await everyoneHears(devices, id, 3);
  }));

await check('a conversation made by a message of one dialect is there for the others', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const a = await enter(alice, 'direct');
    const id = `made-${alice.id}`;
    const watching = await bob.connect({ auth: { token: bob.token, dialect: 'standard' } });
    await DIALECTS.direct.say(a.client, id, 'hello', bob.id);
    const made = await watching.next('conversation:updated', (c) => c.id === id);
    assert.equal(made.participants.length, 2);
    for (const dialect of names.filter((name) => name !== 'direct')) {
      const b = await enter(bob, dialect, id);
      await DIALECTS[dialect].say(b.client, id, `back by ${dialect}`);
      const answer = await a.client.next('getMessage', (m) => m.text === `back by ${dialect}`);
      assert.deepEqual([answer.chatId, answer.senderId, answer.type], [id, bob.id, 'text']);
    }
  }));

await check('what a client that confirms nothing was given counts as delivered, for the others to see', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id } = await alice.direct(bob);
    const a = await enter(alice, 'standard', id);
    const { message: waiting } = await DIALECTS.standard.say(a.client, id, 'waiting');
    await enter(bob, 'direct', id);
    await a.client.next('message:delivered', (r) => r.messageId === waiting.id && r.userId === bob.id);
    const { message: live } = await DIALECTS.standard.say(a.client, id, 'live');
    await a.client.next('message:delivered', (r) => r.messageId === live.id);
    const { conversation } = await alice.get(`/api/conversations/${id}`);
    const { deliveredSeq, readSeq } = conversation.participants.find((p) => p.userId === bob.id);
    assert.deepEqual([deliveredSeq, readSeq], [2, 0]);
  }));

await check('read marks, typing and presence cross dialects', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id } = await alice.direct(bob);
    const a = await enter(alice, 'standard', id);
    const b = await enter(bob, 'threads', id);
    const { message } = await DIALECTS.standard.say(a.client, id, 'read me');
    await b.client.done('mark_message_read', id, message.id);
    assert.equal((await a.client.next('message:read')).messageId, message.id);
    await b.client.done('typing_start', id);
    assert.equal((await a.client.next('typing:start')).userId, bob.id);
    await a.client.done('typing:start', { conversationId: id });
    assert.deepEqual(await b.client.next('user_typing'), {
      messageId: id,
      userId: alice.id,
      userName: alice.name,
      isTyping: true,
    });
    await a.client.done('user:status', 'busy');
    assert.equal((await b.client.next('user_status_update', (e) => e.userId === alice.id)).status, 'busy');
    // Whoever appears offline is in nobody's list.
    const watcher = await enter(bob, 'direct', id);
    await watcher.client.next('getOnlineUsers', (users) => users.includes(alice.id));
    watcher.client.forget();
    await a.client.done('user:status', 'offline');
    await watcher.client.next('getOnlineUsers', (users) => !users.includes(alice.id) && users.includes(bob.id));
  }));

console.log('# mixed dialects: all good');
process.exit(0);
