#!/usr/bin/env node
// An echo server with Node's net: a callback for each piece of input, one loop (libuv's), one thread.
import fs from 'node:fs';
import net from 'node:net';
import {parseArgs} from 'node:util';

const backlog = 4096;
const drainTime = 5000;  // ms: how long stopping may take
const quietTime = 10;    // ms in which what the system has received arrives
const busyTurns = 10;    // quietTimes after which a client that goes on sending has been heard

function fail(status, why) {
  process.stderr.write(`echo.mjs: ${why}\n`);
  process.exit(status);
}

function parseOptions() {
  try {
    const {values} = parseArgs({options: {bind: {type: 'string', default: '127.0.0.1'}, port: {type: 'string', default: '0'}}});
    if (!/^\d{1,5}$/.test(values.port) || values.port > 65535) throw new Error('--port: a number from 0 to 65535');
    return values;
  } catch (error) {
    fail(2, `${error.message}; usage: [--bind ADDR] [--port N]`);
  }
}

function print(line) {
  try {
    fs.writeSync(1, `${JSON.stringify({...line, variant: 'node'})}\n`);
  } catch (error) {
    fail(1, `cannot write to standard output: ${error.message}`);
  }
}

const totals = {accepted: 0, requests: 0, bytes_in: 0, bytes_out: 0};
const sockets = new Set();

function echo(socket) {
  ++totals.accepted;
  sockets.add(socket);
  socket.busyTurns = 0;
  socket.on('data', () => {
    ++totals.requests;
    socket.arrived = true;
  });
  socket.on('error', () => {});  // the peer has gone; 'close' follows
  socket.on('close', () => {
    totals.bytes_in += socket.bytesRead;
    totals.bytes_out += socket.bytesWritten;
    sockets.delete(socket);
    if (closed) endWhenAllHaveGone();
  });
  socket.pipe(socket);  // which pauses while the peer does not read, and ends when it ends
}

const options = parseOptions();
const server = net.createServer({noDelay: true, allowHalfOpen: true}, echo);
server.on('error', error => fail(1, error.message));
server.listen({host: options.bind, port: Number(options.port), backlog}, () => {
  const {address, port, family} = server.address();
  print({event: 'listening', addresses: [family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`], pid: process.pid});
});

// A socket that was quiet for a while has been answered; of one that is never quiet, what had come before the stop was.
// There is no way to ask what the system has received.
function stop() {
  const deadline = setTimeout(() => sockets.forEach(socket => socket.resetAndDestroy()), drainTime);
  const drain = setInterval(() => {
    for (const socket of sockets) {
      if (socket.arrived ? ++socket.busyTurns > busyTurns : socket.writableLength === 0) socket.destroySoon();
      socket.arrived = false;
    }
  }, quietTime);
  server.close(() => {
    clearTimeout(deadline);
    clearInterval(drain);
    closed = true;
    endWhenAllHaveGone();
  });
}

// The server's 'close' precedes that of its last sockets, which count then.
function endWhenAllHaveGone() {
  if (sockets.size === 0) print({event: 'stopped', ...totals});
}
let stopping = false;
let closed = false;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    if (!stopping) stop();
    stopping = true;
  });
}
