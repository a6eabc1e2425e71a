// A typed client of the inkspot dialect: every event in both directions, and what must not compile.

import { io, type Socket } from 'socket.io-client';
import type { ClientToServerEvents, Message, ServerToClientEvents } from './dialects/inkspot.js';

const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io('http://127.0.0.1:4000', {
  path: '/api/socketio',
  auth: { token: 'a token', userId: 'ann' },
});
const messages: Message[] = [];

// --- what clients hear ---

socket.on('new-message', (message) => console.log(message.sender.name, message.content, message.messageType));
socket.on('message-sent', (message) => messages.push(message));
socket.on('message-error', ({ error }) => console.log(error));
socket.on('user-typing', ({ userName, isTyping }) => console.log(isTyping ? userName : ''));
socket.on('user-stop-typing', ({ conversationId, userId }) => console.log(conversationId, userId));
socket.on('message-read', ({ messageId, userId, readAt }) => console.log(messageId, userId, new Date(readAt)));
socket.on('user-status', ({ userId, status, isOnline, lastSeen }) =>
  console.log(userId, status === 'offline', isOnline, new Date(lastSeen)),
);

// --- what clients say ---

socket.emit('join-conversation', 'c-1');
socket.emit('join-conversation', { conversationId: 'c-1', userId: 'ann' }, (answer) => {
  if (answer.success) messages.push(...answer.messages);
  else console.log(answer.error);
});
socket.emit('leave-conversation', 'c-1');
const said = { content: 'Hello', messageType: 'text', conversationId: 'c-1', senderId: 'ann' };
socket.emit('send-message', said);
socket.timeout(5000).emit('send-message', said, (late, answer) => {
  if (!late && answer.success) messages.push(answer.message);
});
socket.emit('typing-start', { conversationId: 'c-1', userId: 'ann', isTyping: true, userName: 'Ann' });
socket.emit('typing-stop', { conversationId: 'c-1', userId: 'ann', isTyping: false, userName: 'Ann' });
socket.emit('mark-message-read', 'm-1');
socket.emit('mark-message-read', 'm-1', 'c-1');
socket.emit('mark-message-read', { messageId: 'm-1' }, ({ success }) => console.log(success));

// --- what must not compile ---

socket.emit('send-message', { content: 'Hello', messageType: 'text' }); // wrong
socket.emit('send-message', { ...said, content: ['Hello'] }); // wrong
socket.emit('mark-message-read'); // wrong
socket.emit('mark-message-read', { message: 'm-1' }); // wrong
socket.emit('typing-start', { conversationId: 1 }); // wrong
socket.emit('message:send', said); // wrong
socket.on('user-status', ({ online }) => console.log(online)); // wrong
