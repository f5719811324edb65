// A loop thread for the tests: answers each message after a tick of its loop, and writes a file through its ring.
import { RING_DSYNC } from '@mars/brick-core';
import { serveLoopThread } from './serve-loop-thread.js';

await serveLoopThread(
  ({ platform, data, post }) => {
    const { loop, files, ring, log } = platform;
    log.info({ data }, 'thread serves');
    async function answer(body: { sleepMs?: number; path?: string; fail?: boolean }): Promise<void> {
      if (body.fail) throw new Error('asked to fail');
      if (body.sleepMs !== undefined) {
        const fromUs = loop.nowUs;
        await loop.sleep(body.sleepMs);
        return post({ sleptUs: loop.nowUs - fromUs });
      }
      const file = await files.open(body.path!, { write: true, create: true });
      loop.arena.u8.set(Buffer.from('from the thread'), 4096);
      const place = { pos: 0, len: 15 };
      const written = await ring.call((client, token) =>
        ring.write(file.fd, 4096, 15, place, client, token, RING_DSYNC),
      );
      await files.close(file);
      post({ written });
    }
    return { onMessage: (body) => void answer(body as object), stop: () => Promise.resolve(post({ stopped: data })) };
  },
  { arenaBytes: 1 << 20, poolObjects: 16 },
);
