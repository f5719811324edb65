// The smallest NBD client that is good enough to judge a server: one connection, many requests under way, simple replies.
import { once } from 'node:events';
import { connect } from 'node:net';

const OPTION_MAGIC = 0x49484156454f5054n;
const REPLY_MAGIC = 0x3e889045565a9n;
const REQUEST_MAGIC = 0x25609513;
const SIMPLE_REPLY_MAGIC = 0x67446698;
const GO = 7;
const ACK = 1;
const INFO = 3;
export const NBD_READ = 0;
export const NBD_WRITE = 1;
export const NBD_DISCONNECT = 2;
export const NBD_FLUSH = 3;
export const NBD_ZERO = 6;
export const FUA = 1;

/** Connects; `null` when nobody answers there. */
export async function dial(socketPath) {
  const socket = connect(socketPath);
  try {
    await once(socket, 'connect');
  } catch {
    return null;
  }
  const client = new NbdClient(socket);
  try {
    await client.shakeHands();
  } catch {
    socket.destroy();
    return null;
  }
  return client;
}

class NbdClient {
  sizeBytes = 0;
  /** Called once, when the server is gone. */
  onGone = () => {};
  #socket;
  #received = Buffer.alloc(0);
  #wanted = null;
  #handles = 1;
  #underWay = new Map();

  constructor(socket) {
    this.#socket = socket;
    socket.on('data', (bytes) => {
      this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
      this.#pump();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#wanted?.reject(new Error('the server is gone'));
      this.onGone();
    });
  }

  async shakeHands() {
    await this.#read(18);
    const go = Buffer.alloc(4 + 16 + 6);
    go.writeUInt32BE(3, 0);
    go.writeBigUInt64BE(OPTION_MAGIC, 4);
    go.writeUInt32BE(GO, 12);
    go.writeUInt32BE(6, 16);
    this.#socket.write(go);
    for (;;) {
      const head = await this.#read(20);
      if (head.readBigUInt64BE(0) !== REPLY_MAGIC) throw new Error('not a reply to an option');
      const type = head.readUInt32BE(12);
      const data = await this.#read(head.readUInt32BE(16));
      if (type === INFO && data.readUInt16BE(0) === 0) this.sizeBytes = Number(data.readBigUInt64BE(2));
      if (type === ACK) break;
      if (type !== INFO) throw new Error(`the server refuses the export (${type})`);
    }
    void this.#answers();
  }

  /** @param done (errno, data) => void; never called when the server dies first */
  request(type, flags, posBytes, lenBytes, data, done) {
    const handle = this.#handles++;
    const head = Buffer.alloc(28);
    head.writeUInt32BE(REQUEST_MAGIC, 0);
    head.writeUInt16BE(flags, 4);
    head.writeUInt16BE(type, 6);
    head.writeBigUInt64BE(BigInt(handle), 8);
    head.writeBigUInt64BE(BigInt(posBytes), 16);
    head.writeUInt32BE(lenBytes, 24);
    this.#underWay.set(handle, { type, lenBytes, done });
    this.#socket.write(head);
    if (data) this.#socket.write(data);
  }

  close() {
    this.#socket.destroy();
  }

  async #answers() {
    try {
      for (;;) {
        const head = await this.#read(16);
        if (head.readUInt32BE(0) !== SIMPLE_REPLY_MAGIC) throw new Error('not a simple reply');
        const errno = head.readUInt32BE(4);
        const handle = Number(head.readBigUInt64BE(8));
        const { type, lenBytes, done } = this.#underWay.get(handle);
        this.#underWay.delete(handle);
        const data = type === NBD_READ && errno === 0 ? await this.#read(lenBytes) : null;
        done(errno, data);
      }
    } catch {
      this.#socket.destroy();
    }
  }

  #read(lenBytes) {
    return new Promise((resolve, reject) => {
      this.#wanted = { lenBytes, resolve, reject };
      this.#pump();
    });
  }

  #pump() {
    const wanted = this.#wanted;
    if (wanted === null || this.#received.length < wanted.lenBytes) return;
    this.#wanted = null;
    const bytes = this.#received.subarray(0, wanted.lenBytes);
    this.#received = this.#received.subarray(wanted.lenBytes);
    wanted.resolve(bytes);
  }
}
