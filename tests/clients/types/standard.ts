// A typed client of the standard dialect: every event in both directions, and what must not compile.

import { io, type Socket } from 'socket.io-client';
import type { ClientToServerEvents, Message, ServerToClientEvents } from './dialects/standard.js';

const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io('http://127.0.0.1:4000', {
  auth: { token: 'a token' },
});
const messages: Message[] = [];

// --- what clients hear ---

socket.on('connected', ({ userId, socketId, serverTime }) => console.log(userId, socketId, new Date(serverTime)));
socket.on('message:new', (message) => messages.push(message));
socket.on('message:delivered', ({ messageId, conversationId }) => console.log(messageId, conversationId));
socket.on('message:read', ({ messageId, userId, readAt }) => console.log(messageId, userId, new Date(readAt)));
socket.on('typing:start', ({ userId, conversationId }) => console.log(userId, conversationId));
socket.on('typing:stop', ({ userId }) => console.log(userId.length));
socket.on('user:online', ({ userId, status }) => console.log(userId, status === 'busy'));
socket.on('user:offline', ({ lastSeen }) => console.log(lastSeen?.length));
socket.on('conversation:updated', (c) => console.log(c.title ?? c.participants[0]?.name, c.lastMessage?.content));
socket.on('conversation:deleted', ({ conversationId }) => console.log(conversationId));
socket.on('notification:new', ({ title, message, createdAt }) => console.log(title, message, createdAt));
socket.on('error', ({ message, code, retry_after_ms }) => console.log(message, code, (retry_after_ms ?? 0) + 1));

// --- what clients say ---

socket.emit('conversation:join', 'c-1');
socket.emit('conversation:join', { conversationId: 'c-1', after: 41 }, (answer) => {
  if (answer.ok) messages.push(...answer.messages);
  else console.log(answer.error.code, answer.error.message);
});
socket.emit('conversation:leave', { conversationId: 'c-1' });
socket.emit('message:send', { conversationId: 'c-1', content: 'Hello', type: 'text', clientId: 'k', metadata: { a: 1 } });
socket.timeout(5000).emit('message:send', { conversationId: 'c-1', content: 'Hello' }, (late, answer) => {
  if (!late && answer.ok) messages.push(answer.message);
});
socket.emit('message:read', 'm-1');
socket.emit('message:read', { conversationId: 'c-1', messageIds: ['m-1', 'm-2'] }, ({ ok }) => console.log(ok));
socket.emit('message:delivered', { messageId: 'm-1' });
socket.emit('typing:start', { conversationId: 'c-1' });
socket.emit('typing:stop', 'c-1');
socket.emit('conversation:sync', { conversations: { 'c-1': 3 } }, (answer) => {
  if (answer.ok) console.log(answer.conversations[0]?.lastSeq, answer.gone.length);
});
socket.emit('user:status', 'away');
socket.emit('authenticate', { token: 'fresh' }, (answer) => console.log(answer.ok && answer.expiresAt));
console.log(await socket.emitWithAck('user:status', 'busy'));

// --- what must not compile ---

socket.emit('message:send', { conversationId: 'c-1' }); // wrong
socket.emit('message:send', { conversationId: 'c-1', content: 7 }); // wrong
socket.emit('message:send', { conversationId: 'c-1', content: 'x', contents: 'x' }); // wrong
socket.emit('message:read'); // wrong
socket.emit('user:status', 'dancing'); // wrong
socket.emit('no:such:event'); // wrong
socket.emit('conversation:join', 'c-1', (answer) => console.log(answer.messages)); // wrong
socket.on('message:new', (message) => console.log(message.text)); // wrong
socket.on('no:such:event', () => undefined); // wrong
