// An NBD client that expects to be killed: writes stamped blocks as fast as it can, and says what it does before it does it.
//
//   node test/interop/nbd-writer.mjs SOCKET FIRST_BLOCK BLOCKS SEED
//
// stdout: "s NUMBER BLOCK" before a write is sent, "a NUMBER" when it was answered. A block of 4096 bytes holds its number 1024 times.
import { writeSync } from 'node:fs';
import { connect } from 'node:net';
import { createRandom } from '@mars/brick-core';

const [socket, first, blocks, seed] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const DEPTH = 16;
const BLOCK_BYTES = 4096;
/** Client flags, and GO without a name. */
const HELLO = Buffer.from('00000003' + '49484156454f5054' + '00000007' + '00000006' + '000000000000', 'hex');
/** Greeting, and the answers to GO: export, block sizes, acknowledgement. */
const HELLO_REPLY_BYTES = 18 + 20 + 12 + 20 + 14 + 20;
const REPLY_BYTES = 16;

const random = createRandom(seed);
const busy = new Set();
const blockOf = new Map();
let number = 0;
let replies = Buffer.alloc(0);
let skip = HELLO_REPLY_BYTES;

const client = connect(socket);
client.on('error', () => process.exit(2));
client.on('close', () => process.exit(0));
client.write(HELLO);
client.on('data', (data) => {
  replies = Buffer.concat([replies, data]);
  if (skip > 0) {
    if (replies.length < skip) return;
    replies = replies.subarray(skip);
    skip = 0;
    for (let i = 0; i < DEPTH; i++) send();
  }
  for (; replies.length >= REPLY_BYTES; replies = replies.subarray(REPLY_BYTES)) answered(replies);
});

function answered(reply) {
  if (reply.readUInt32BE(0) !== 0x67446698 || reply.readUInt32BE(4) !== 0) process.exit(3);
  const n = reply.readUInt32BE(12);
  writeSync(1, `a ${n}\n`);
  busy.delete(blockOf.get(n));
  blockOf.delete(n);
  send();
}

/** Never two writes of one block at the same time: what that leaves is undefined by contract. */
function send() {
  let block = random.int(blocks);
  while (busy.has(block)) block = random.int(blocks);
  busy.add(block);
  blockOf.set(++number, block);
  const bytes = Buffer.alloc(28 + BLOCK_BYTES);
  bytes.writeUInt32BE(0x25609513, 0);
  bytes.writeUInt16BE(1, 6);
  bytes.writeUInt32BE(number, 12);
  bytes.writeBigUInt64BE(BigInt((first + block) * BLOCK_BYTES), 16);
  bytes.writeUInt32BE(BLOCK_BYTES, 24);
  for (let at = 28; at < bytes.length; at += 4) bytes.writeUInt32LE(number, at);
  writeSync(1, `s ${number} ${block}\n`);
  client.write(bytes);
}
