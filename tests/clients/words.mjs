// The dialects as far as every one of them can talk: how somebody enters a conversation, says
// something to it (a receiver where the dialect wants one), and what a message looks like to them.
// Also the event and arguments that send a message with files, the files of a message that was heard,
// and the event that searches. One entry makes another dialect take part in together.mjs, paths.mjs and files.mjs.

import assert from 'node:assert/strict';

export const DIALECTS = {
  standard: {
    greeting: 'connected',
    enter: (client, id) => client.done('conversation:join', id),
    say: (client, id, content) => client.done('message:send', { conversationId: id, content }),
    show: (client, id, content, files) => ['message:send', { conversationId: id, content, attachments: files.map((f) => f.id) }],
    files: (m) => m.attachments,
    search: 'message:search',
    heard: ['message:new', (m) => [m.conversationId, m.senderId, m.content]],
    /** Whether other devices of the sender hear it, and whether the very connection does. */
    own: true,
    echo: false,
  },
  platform: {
    greeting: 'connection:success',
    enter: (client, id) => client.done('conversation:join', id),
    say: (client, id, content) => client.done('message:send', { conversationId: id, content }),
    show: (client, id, content, files) => ['message:send', { conversationId: id, content, attachments: files }],
    files: ({ message }) => message.attachments,
    search: 'message:search',
    heard: ['message:received', ({ message: m }) => [m.conversationId, m.senderId, m.content]],
    own: true,
    echo: true,
  },
  threads: {
    greeting: 'connection_status',
    enter: (client, id) => client.done('join_message_thread', id),
    say: (client, id, message) => client.done('send_message', { messageId: id, message, messageType: 'text' }),
    show: (client, id, message, files) => ['send_message', { messageId: id, message, attachments: files }],
    files: (m) => m.attachments,
    search: 'search_messages',
    heard: ['new_message', (m) => [m.messageId, m.sender.id, m.message]],
    own: true,
    echo: false,
  },
  inkspot: {
    greeting: null,
    enter: (client, id) => client.done('join-conversation', id),
    say: (client, id, content) => client.done('send-message', { conversationId: id, content, messageType: 'text' }),
    show: (client, id, content, files) => [
      'send-message',
      { conversationId: id, content, messageType: 'image', senderId: client.who, attachments: files.map((f) => f.url) },
    ],
    files: (m) => (assert.deepEqual(m.attachments, m.files.map((f) => f.url)), m.files),
    search: 'search-messages',
    heard: ['new-message', (m) => [m.conversationId, m.senderId, m.content]],
    own: true,
    echo: false,
  },
  direct: {
    greeting: null,
    enter: (client) => client.done('newUser', client.who),
    say: (client, id, text, receiverId) => client.done('sendMessage', { receiverId, data: { text, chatId: id } }),
    show: (client, id, text, files, receiverId) => ['sendMessage', { receiverId, data: { text, chatId: id, uploads: files } }],
    files: (m) => m.uploads,
    search: 'searchMessages',
    heard: ['getMessage', (m) => [m.chatId, m.senderId, m.text]],
    own: false,
    echo: false,
  },
};
export const names = Object.keys(DIALECTS);
