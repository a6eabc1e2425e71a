// A typed client of the platform dialect: every event in both directions, and what must not compile.

import { io, type Socket } from 'socket.io-client';
import type { ClientToServerEvents, Message, Participant, ServerToClientEvents } from './dialects/platform.js';

const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io('http://127.0.0.1:4000', {
  path: '/api/socketio',
  auth: { token: 'a token' },
});
const messages: Message[] = [];
let people: Participant[] = [];

// --- what clients hear ---

socket.on('connection:success', ({ userId }) => console.log(userId));
socket.on('conversation:messages', ({ conversationId, messages: newest, participants }) => {
  messages.push(...newest.filter((m) => m.conversationId === conversationId));
  people = participants.filter((p) => p.leftAt === null && p.role === 'admin');
});
socket.on('message:received', ({ conversationId, content, message }) => {
  messages.push(message);
  console.log(conversationId, content, message.sender.name, new Date(message.createdAt));
});
socket.on('typing:update', ({ userName, isTyping }) => console.log(isTyping ? userName : ''));
socket.on('message:read_update', ({ messageId, userId, readerId, readBy, readAt }) =>
  console.log(messageId, userId, readerId, readBy, new Date(readAt)),
);
socket.on('error', ({ message }) => console.log(message));

// --- what clients say ---

socket.emit('conversation:join', 'c-1');
socket.emit('conversation:join', { conversationId: 'c-1' }, (answer) => {
  if (!answer.success) console.log(answer.error);
});
socket.emit('conversation:leave', 'c-1');
socket.emit('message:send', { conversationId: 'c-1', content: 'Hello' });
socket.timeout(5000).emit('message:send', { conversationId: 'c-1', content: 'Hello' }, (late, answer) => {
  if (!late && answer.success) messages.push(answer.message);
});
socket.emit('typing:start', 'c-1', ({ success }) => console.log(success));
socket.emit('typing:stop', { conversationId: 'c-1' });
socket.emit('message:read', { conversationId: 'c-1', messageId: 'm-1' });
console.log(people);

// --- what must not compile ---

socket.emit('message:send', { conversationId: 'c-1' }); // wrong
socket.emit('message:send', 'c-1', 'Hello'); // wrong
socket.emit('conversation:join', { conversation: 'c-1' }); // wrong
socket.emit('typing:start', 'c-1', ({ ok }) => console.log(ok)); // wrong
socket.emit('join-conversation', 'c-1'); // wrong
socket.on('message:received', ({ text }) => console.log(text)); // wrong
