// A client that is as wild as it can be, remembers what it was told, and compares that with what it finds later.
import { ClientHistory, GARBAGE, SECTOR_BYTES, contentOf, stampSector } from '@mars/sim';
import { createRandom } from '@mars/brick-core';
import { FUA, NBD_FLUSH, NBD_READ, NBD_WRITE, NBD_ZERO, dial } from './nbd-client.mjs';

const SURVEY_BYTES = 256 * 1024;
const DEPTH = 16;
const LONGEST_SECTORS = 64;

/** Owns the last `spanBytes` of an export, over any number of lives of its server. */
export class JudgedClient {
  answered = 0;
  judged = 0;
  #history;
  #spanBytes;
  #random;
  #startBytes = 0;

  constructor(spanBytes, seed) {
    this.#spanBytes = spanBytes;
    this.#history = new ClientHistory(spanBytes);
    this.#random = createRandom(seed);
  }

  /** Writes, reads and flushes until the server is gone or `until` resolves. @throws when an answer is wrong */
  async work(socketPath, until) {
    const client = await this.#dial(socketPath);
    let failure = null;
    let isOver = false;
    let underWay = 0;
    const gone = new Promise((resolve) => (client.onGone = resolve));
    const issue = () => {
      while (!isOver && failure === null && underWay < DEPTH) {
        underWay++;
        this.#issue(client, (error) => {
          underWay--;
          failure ??= error;
          issue();
        });
      }
    };
    issue();
    await Promise.race([gone, until]);
    isOver = true;
    client.close();
    if (failure !== null) throw failure;
  }

  /**
   * The server has died and is there again: the death of a process loses nothing that was answered (decided.md, *Log and tree*).
   * @throws when something is lost, torn or older than it may be
   */
  async survey(socketPath) {
    const history = this.#history;
    for (const write of history.writes) if (write.outcome === 'good') write.isDurable = true;
    history.crash();
    const client = await this.#dial(socketPath);
    const found = [];
    for (let at = 0; at < this.#spanBytes; at += SURVEY_BYTES) {
      const bytes = await this.#readAll(client, at, Math.min(SURVEY_BYTES, this.#spanBytes - at));
      for (let i = 0; i < bytes.length; i += SECTOR_BYTES) found.push(this.#contentAt(bytes, i, at));
    }
    client.close();
    history.settle(found.map((content, sector) => this.#survivor(sector, content)));
  }

  #survivor(sector, content) {
    const durable = this.#history.durableOn(sector);
    const candidates = this.#history.writes.filter(
      (write) => write.content === content && covers(write, sector) && write.nr >= durable.nr,
    );
    this.judged++;
    if (content !== GARBAGE && candidates.length > 0) return candidates.at(-1);
    if (content === durable.content) return durable;
    throw new Error(
      `sector ${sector}: found ${content === GARBAGE ? 'garbage' : `write ${content}`}, but write ${durable.nr} was answered before the server died`,
    );
  }

  async #dial(socketPath) {
    const client = await dial(socketPath);
    if (client === null) throw new Error('nobody answers at the socket');
    this.#startBytes = client.sizeBytes - this.#spanBytes;
    return client;
  }

  #readAll(client, at, len) {
    return new Promise((resolve, reject) => {
      client.onGone = () => reject(new Error('the server died while everything was read back'));
      client.request(NBD_READ, 0, this.#startBytes + at, len, null, (errno, bytes) =>
        errno === 0 ? resolve(bytes) : reject(new Error(`a read failed with errno ${errno}`)),
      );
    });
  }

  #contentAt(bytes, i, at) {
    return contentOf(bytes, i, (at + i) / SECTOR_BYTES);
  }

  #issue(client, ended) {
    const random = this.#random;
    const history = this.#history;
    const count = 1 + random.int(random.int(3) === 0 ? LONGEST_SECTORS : 8);
    // Half of it on a few sectors, so that there are overlaps.
    const sectors = random.int(2) === 0 ? 2 * LONGEST_SECTORS : this.#spanBytes / SECTOR_BYTES;
    const first = random.int(sectors - count + 1);
    const [pos, len] = [first * SECTOR_BYTES, count * SECTOR_BYTES];
    const at = this.#startBytes + pos;
    const share = random.int(100);
    const guard = (judge) => (errno, bytes) => {
      try {
        if (errno !== 0) throw new Error(`a request at ${pos} failed with errno ${errno}`);
        this.answered++;
        judge(bytes);
        ended(null);
      } catch (error) {
        ended(error);
      }
    };
    if (share < 5) {
      const flush = history.issueFlush();
      client.request(
        NBD_FLUSH,
        0,
        0,
        0,
        null,
        guard(() => history.answerFlush(flush)),
      );
    } else if (share < 30) {
      const read = history.issueRead();
      const look = (bytes) => {
        for (let i = 0; i < count; i++) history.judge(read, first + i, contentOf(bytes, i * SECTOR_BYTES, first + i));
      };
      client.request(NBD_READ, 0, at, len, null, guard(look));
    } else if (share < 35) {
      const write = history.issueWrite(pos, len, { isZero: true });
      client.request(
        NBD_ZERO,
        0,
        at,
        len,
        null,
        guard(() => history.answerWrite(write)),
      );
    } else {
      const isFua = share < 45;
      const write = history.issueWrite(pos, len, { isFua });
      const words = new Uint32Array(len / 4);
      for (let i = 0; i < count; i++) stampSector(words, (i * SECTOR_BYTES) / 4, write.nr, first + i);
      const data = Buffer.from(words.buffer);
      client.request(
        NBD_WRITE,
        isFua ? FUA : 0,
        at,
        len,
        data,
        guard(() => history.answerWrite(write)),
      );
    }
  }
}

function covers(write, sector) {
  return write.first <= sector && sector < write.first + write.count;
}
