// What the benches of served disks share: images, and waiting for a server.
import { randomBytes } from 'node:crypto';
import { openSync, writeSync, closeSync } from 'node:fs';
import { createConnection } from 'node:net';

export const IMAGE_MIB = 512;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A file of random bytes: a sparse one would let clients skip holes, and make writers allocate while they are measured. */
export function makeImage(file) {
  const fd = openSync(file, 'w');
  const piece = randomBytes(4 << 20);
  for (let i = 0; i < IMAGE_MIB / 4; i++) writeSync(fd, piece);
  closeSync(fd);
}

/** Waits until somebody accepts at the socket. */
export async function ready(socket) {
  for (let i = 0; i < 400; i++) {
    const isThere = await new Promise((resolve) => {
      const c = createConnection(socket, () => (c.destroy(), resolve(true)));
      c.on('error', () => resolve(false));
    });
    if (isThere) return;
    await sleep(50);
  }
  throw new Error(`no server came up at ${socket}`);
}
