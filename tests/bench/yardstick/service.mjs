// The yardstick of `pipeline`: what one writes in an afternoon instead of Creel, without its retries, lanes or sandbox.
//
// Receives a push over HTTP, verifies its HMAC-SHA256, stores it in node:sqlite (WAL, synchronous FULL), answers 202,
// makes Slack's message out of it, calls the receiver, records the result. Every event costs two durable writes, as it does
// there: one before the answer, one after the call. With --batch the writes of one turn of the event loop are one commit.
// Says one line of JSON when it listens and one at its end, which comes with the end of standard input.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { Agent, createServer, request } from 'node:http';
import { DatabaseSync } from 'node:sqlite';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    secret: { type: 'string' },
    receiver: { type: 'string' },
    database: { type: 'string' },
    concurrency: { type: 'string', default: '64' },
    batch: { type: 'boolean', default: false },
  },
});

const database = new DatabaseSync(options.database);
database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
database.exec(`CREATE TABLE event (
  id TEXT PRIMARY KEY, received_at INTEGER NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL,
  status INTEGER, ended_at INTEGER) STRICT`);
const insert = database.prepare('INSERT INTO event (id, received_at, headers, body) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING');
const record = database.prepare('UPDATE event SET status = ?, ended_at = ? WHERE id = ?');

let queue = [];

// Writes, and goes on once it is committed.
function write(statement, values, then) {
  if (!options.batch) return then(statement.run(...values));
  if (queue.push({ statement, values, then }) === 1) setImmediate(commit);
}

function commit() {
  const batch = queue;
  queue = [];
  database.exec('BEGIN IMMEDIATE');
  const results = batch.map(({ statement, values }) => statement.run(...values));
  database.exec('COMMIT');
  batch.forEach(({ then }, index) => then(results[index]));
}

function isGenuine(body, signature) {
  const wanted = createHmac('sha256', options.secret).update(body).digest();
  const given = Buffer.from(signature ?? '', 'hex');
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

function message({ pusher, repository, commits, compare }) {
  if (commits.length === 0) return undefined;
  if (commits.length === 1) return `${pusher.name} pushed to ${repository.full_name}: ${commits[0].message}`;
  return `${pusher.name} pushed ${commits.length} commits to ${repository.full_name}: <${compare}|compare>`;
}

const receiver = new URL(options.receiver);
const agent = new Agent({ keepAlive: true, maxSockets: Number(options.concurrency) });

function deliver(id, body) {
  const text = message(JSON.parse(body));
  if (text === undefined) return;
  const payload = Buffer.from(JSON.stringify({ text }));
  const headers = { 'content-type': 'application/json', 'content-length': payload.length, 'webhook-id': id };
  const ended = (status) => write(record, [status, Date.now(), id], () => {});
  const call = request({ agent, host: receiver.hostname, port: receiver.port, path: receiver.pathname, method: 'POST', headers }, (answer) => {
    answer.resume();
    answer.on('end', () => ended(answer.statusCode));
  });
  call.on('error', () => ended(0));
  call.end(payload);
}

const server = createServer((incoming, answer) => {
  const chunks = [];
  incoming.on('data', (chunk) => chunks.push(chunk));
  incoming.on('end', () => {
    const body = Buffer.concat(chunks);
    const { 'x-signature': signature, ...headers } = incoming.headers;
    if (!isGenuine(body, signature)) return answer.writeHead(401).end();
    const id = headers['x-event-id'];
    write(insert, [id, Date.now(), JSON.stringify(headers), body], ({ changes }) => {
      answer.writeHead(202, { 'content-length': 0 }).end();
      if (changes > 0) deliver(id, body);
    });
  });
});

server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ address: `127.0.0.1:${server.address().port}` }));
});

process.stdin.resume();
process.stdin.on('end', () => {
  const count = (where) => database.prepare(`SELECT count(*) AS count FROM event WHERE ${where}`).get().count;
  console.log(JSON.stringify({ events: count('true'), recorded: count('status = 200') }));
  process.exit(0);
});
