// A typed client of the threads dialect: every event in both directions, and what must not compile.

import { io, type Socket } from 'socket.io-client';
import type { ClientToServerEvents, Message, ServerToClientEvents } from './dialects/threads.js';

const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io('http://127.0.0.1:4000', {
  transports: ['websocket', 'polling'],
  auth: { token: 'a token' },
});
const messages: Message[] = [];

// --- what clients hear ---

socket.on('connection_status', ({ connected, userId }) => console.log(connected, userId));
socket.on('new_message', (m) => console.log(m.messageId, m.message, m.sender.email ?? '', m.isFromCurrentUser, m.seq));
socket.on('new_message_notification', ({ messageId, message, sender }) => console.log(messageId, message, sender.name));
socket.on('message_sent', ({ messageId, id, timestamp }) => console.log(messageId, id, new Date(timestamp)));
socket.on('message_read', ({ messageId, threadMessageId, readBy, readAt }) =>
  console.log(messageId, threadMessageId, readBy.name, new Date(readAt)),
);
socket.on('user_typing', ({ userName, isTyping }) => console.log(isTyping ? userName : ''));
socket.on('user_status_change', ({ userId, isOnline }) => console.log(userId, isOnline));
socket.on('user_status_update', ({ userId, status }) => console.log(userId, status === 'busy'));
socket.on('error', ({ message }) => console.log(message));

// --- what clients say ---

socket.emit('join_message_thread', 't-1');
socket.emit('join_message_thread', { threadId: 't-1', username: 'ann' }, (answer) => {
  if (answer.ok) messages.push(...answer.messages);
  else console.log(answer.error.code);
});
socket.emit('leave_message_thread', 't-1');
socket.emit('send_message', { messageId: 't-1', message: 'Hello', messageType: 'text' });
socket.emit('send_message', 't-1', 'Hello');
socket.emit('send_message', 't-1', 'Hello', 'text', ({ ok }) => console.log(ok));
socket.emit('typing_start', { messageId: 't-1' });
socket.emit('typing_stop', 't-1');
socket.emit('mark_message_read', { messageId: 't-1', threadMessageId: null });
socket.emit('mark_message_read', 't-1', 'm-1');
socket.emit('update_status', 'away');

// --- what must not compile ---

socket.emit('join_message_thread'); // wrong
socket.emit('send_message', 't-1'); // wrong
socket.emit('send_message', { messageId: 't-1', text: 'Hello' }); // wrong
socket.emit('update_status', 'idle'); // wrong
socket.emit('typing_start', 7); // wrong
socket.emit('message:send', { conversationId: 't-1', content: 'Hello' }); // wrong
socket.on('new_message', ({ content }) => console.log(content)); // wrong
