import { createRandom, invariant, type SeededRandom } from '@mars/brick-core';
import { Handshake, type ExportFacts } from '../nbd/handshake.js';
import { NbdRequest, verdict } from '../nbd/transmission.js';
import {
  CMD_DISC,
  CMD_WRITE,
  OPT_EXPORT_NAME,
  OPT_GO,
  OPT_INFO,
  OPT_LIST,
  OPT_LIST_META_CONTEXT,
  OPT_SET_META_CONTEXT,
  OPT_STRUCTURED_REPLY,
  REQUEST_BYTES,
} from '../nbd/protocol.js';
import type { MemoryClient } from './memory-ring.test.kit.js';
import { clientFlags, contextData, infoData, option, request } from './nbd-talk.test.kit.js';
import { ServerKit } from './server-kit.test.kit.js';

/** Options of a sane handshake, and then some. */
const OPTIONS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 77];
const DISK_BYTES = 2 ** 20;
/** More than any client can make one handshake answer: names, descriptions and texts are all short here. */
const MAX_OUTPUT_BYTES = 256 * 1024;
/** Longer than every time limit of the server. */
const LONG_MS = 40_000;
/** Inputs between two looks at the whole: nothing may be left behind. */
const CHECK_EVERY = 100;

export interface FuzzResult {
  inputs: number;
  /** Connections that got as far as transmission. */
  transmissions: number;
  replyBytes: number;
}

/**
 * Hostile clients: `count` inputs made from `seed`, half of them into the pure handshake and request check, half of them into a
 * server over sockets in memory. Throws as soon as anything throws, hangs, leaks or says more than it should.
 * @param isSwitched called between inputs, for those who show progress
 */
export async function fuzzServer(
  { seed, count, first = 0 }: { seed: number; count: number; first?: number },
  onInput: (index: number) => void = () => {},
): Promise<FuzzResult> {
  const result: FuzzResult = { inputs: 0, transmissions: 0, replyBytes: 0 };
  const kit = await ServerKit.open({
    params: { name: 'fuzz', description: 'under attack', depth: 8, handshakeTime: '30s' },
    disk: { size: DISK_BYTES },
    seed,
    poolObjects: 64,
    arenaBytes: 16 * 2 ** 20,
  });
  // Late answers: connections end while their requests are with the disk.
  kit.disk.shuffleAnswers(seed, 3);
  const baseline = kit.outstanding;
  for (let index = first; index < first + count; index++) {
    onInput(index);
    // Each input has a generator of its own, so that one can be replayed alone.
    const random = createRandom(seed * 1_000_003 + index);
    if (random.int(2) === 0) attackPure(random);
    else attackServer(kit, random, result);
    result.inputs++;
    if (index % CHECK_EVERY === CHECK_EVERY - 1) settle(kit, baseline);
  }
  settle(kit, baseline);
  await kit.close();
  return result;
}

/** Lets every time limit pass; then only the listener may be left. */
function settle(kit: ServerKit, baseline: ServerKit['outstanding']): void {
  kit.host.clock.advanceMs(LONG_MS);
  const now = kit.outstanding;
  const same = now.objects === baseline.objects && now.arenaBytes === baseline.arenaBytes;
  invariant(same && now.descriptors === baseline.descriptors, `left behind: ${JSON.stringify(now)}`);
}

// ------------------------------------------------------------------------------------------------------------ pure parts

const FACTS: ExportFacts = {
  name: 'fuzz',
  description: 'under attack',
  sizeBytes: DISK_BYTES,
  flags: 0x0fff,
  minBlockBytes: 1,
  preferredBlockBytes: 4096,
  maxBlockBytes: 32 * 2 ** 20,
};
const DIRECTORY = { find: (name: string) => (name === 'fuzz' || name === '' ? FACTS : null), list: () => [FACTS] };

function attackPure(random: SeededRandom): void {
  const policy = (['off', 'allow', 'require'] as const)[random.int(3)]!;
  const handshake = new Handshake(DIRECTORY, policy);
  let bytes: Uint8Array = mutate(random, handshakeBytes(random));
  let output = 0;
  let showAll = false;
  for (let turns = 0; bytes.length > 0; turns++) {
    invariant(turns < 10_000, 'the handshake does not come to an end');
    const shown = showAll ? bytes : bytes.subarray(0, 1 + random.int(bytes.length));
    const used = handshake.consume(shown);
    invariant(used >= 0 && used <= shown.length, 'the handshake took more than there is');
    for (const part of handshake.replies.take()) output += part.length;
    invariant(output < MAX_OUTPUT_BYTES, 'the handshake talks without end');
    if (handshake.state === 'starttls') handshake.secured();
    else if (handshake.state === 'closed' || handshake.state === 'transmission') break;
    else if (used === 0 && shown.length === bytes.length) break;
    showAll = used === 0;
    bytes = bytes.subarray(used);
  }
  judge(random);
}

/** Whatever is allowed must be something that the brick below can be asked. */
function judge(random: SeededRandom): void {
  const r = new NbdRequest();
  const bytes = mutate(random, requestBytes(random));
  if (bytes.length < REQUEST_BYTES || !r.decode(new DataView(bytes.buffer, bytes.byteOffset), 0)) return;
  const isReadOnly = random.int(2) === 0;
  const may = { sizeBytes: DISK_BYTES, flags: random.int(4096), structured: true, hasContext: random.int(2) === 0 };
  if (verdict(r, { ...may, flags: isReadOnly ? may.flags | 2 : may.flags & ~2, chunkBytes: 2 ** 20 }) !== 0) return;
  invariant(r.offset + r.length <= DISK_BYTES, 'a request beyond the end was allowed');
  invariant(r.type <= 7 && r.type !== CMD_DISC, 'an unknown command was allowed');
  invariant(!isReadOnly || ![CMD_WRITE, 4, 6].includes(r.type), 'a change of a read-only export was allowed');
}

// ---------------------------------------------------------------------------------------------------------- connections

function attackServer(kit: ServerKit, random: SeededRandom, result: FuzzResult): void {
  const client = kit.connect();
  const isHonest = random.int(3) > 0;
  const greeting = isHonest ? honestHandshake(random) : mutate(random, handshakeBytes(random));
  say(kit, random, client, greeting);
  if (isHonest) result.transmissions++;
  const requests = [...Array(random.int(6)).keys()].map(() => requestBytes(random));
  const stream = Buffer.concat(requests);
  say(kit, random, client, random.int(2) === 0 ? stream : mutate(random, stream));
  if (random.int(2) === 0) result.replyBytes += client.read().length;
  leave(random, client);
  if (random.int(2) === 0) kit.host.clock.advanceMs(1 + random.int(4));
  else kit.run();
  result.replyBytes += client.read().length;
}

/** In pieces, now and then with time for the server between them. */
function say(kit: ServerKit, random: SeededRandom, client: MemoryClient, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    const n = random.int(2) === 0 ? bytes.length - at : 1 + random.int(bytes.length - at);
    client.write(bytes.subarray(at, at + n));
    at += n;
    if (random.int(2) === 0) kit.run();
    if (random.int(8) === 0) client.read();
    if (random.int(64) === 0) kit.host.clock.advanceMs(random.int(3));
  }
}

function leave(random: SeededRandom, client: MemoryClient): void {
  const how = random.int(4);
  if (how === 0) client.write(request({ type: CMD_DISC }));
  // After a half close nobody reads: that, too, must come to an end.
  if (how <= 2) client.end();
  else client.vanish();
}

// ---------------------------------------------------------------------------------------------------------------- bytes

function honestHandshake(random: SeededRandom): Buffer {
  const parts = [clientFlags(random.int(4) === 0 ? 1 : 3)];
  if (random.int(3) > 0) parts.push(option(OPT_STRUCTURED_REPLY));
  if (random.int(2) === 0) parts.push(option(OPT_SET_META_CONTEXT, contextData('fuzz')));
  if (random.int(4) === 0) parts.push(option(OPT_EXPORT_NAME, Buffer.from('fuzz')));
  else parts.push(option(OPT_GO, infoData('fuzz', [0, 1, 2, 3])));
  return Buffer.concat(parts);
}

function handshakeBytes(random: SeededRandom): Buffer {
  const parts = [clientFlags(random.int(4))];
  for (let n = random.int(6); n > 0; n--) parts.push(anyOption(random));
  return Buffer.concat(parts);
}

function anyOption(random: SeededRandom): Buffer {
  const number = OPTIONS[random.int(OPTIONS.length)]!;
  const name = ['', 'fuzz', 'other', 'x'.repeat(random.int(5000))][random.int(4)]!;
  switch (number) {
    case OPT_EXPORT_NAME:
      return option(number, Buffer.from(name));
    case OPT_INFO:
    case OPT_GO:
      return option(number, infoData(name, [...Array(random.int(5)).keys()]));
    case OPT_LIST_META_CONTEXT:
    case OPT_SET_META_CONTEXT:
      return option(number, contextData(name, ['base:allocation', 'base:', name.slice(0, 9)].slice(random.int(4))));
    case OPT_LIST:
    case OPT_STRUCTURED_REPLY:
      return option(number);
    default:
      return option(number, randomBytes(random, random.int(20)));
  }
}

function requestBytes(random: SeededRandom): Buffer {
  const type = random.int(12) === 0 ? random.int(65536) : random.int(8);
  const isLong = random.int(40) === 0;
  const length = isLong ? random.int(3 * 2 ** 20) : [0, 1, 511, 512, 4096, 4097, random.int(40_000)][random.int(7)]!;
  const offset = random.int(20) === 0 ? BigInt(random.int(2 ** 32)) << 32n : random.int(DISK_BYTES);
  const flags = random.int(3) === 0 ? 1 << random.int(8) : 0;
  const cookie = (BigInt(random.int(2 ** 32)) << 32n) | BigInt(random.int(2 ** 32));
  const head = { type, flags, cookie, offset, length };
  return request(type === CMD_WRITE ? { ...head, data: Buffer.alloc(length, random.int(256)) } : head);
}

function randomBytes(random: SeededRandom, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  random.bytes(bytes);
  return bytes;
}

const EXTREMES = [0, 1, 0x7f, 0x80, 0xff];

/** Flips, cuts, doubles and overwrites, a few times; now and then nothing at all. */
function mutate(random: SeededRandom, bytes: Buffer): Buffer {
  let out: Buffer = Buffer.from(bytes);
  for (let n = random.int(4); n > 0 && out.length > 0; n--) {
    const at = random.int(out.length);
    const kind = random.int(6);
    if (kind === 0) out[at]! ^= 1 << random.int(8);
    else if (kind === 1) out[at] = EXTREMES[random.int(EXTREMES.length)]!;
    else if (kind === 2) out = out.subarray(0, at);
    else if (kind === 3)
      out = Buffer.concat([out.subarray(0, at), randomBytes(random, random.int(64)), out.subarray(at)]);
    else if (kind === 4) out = Buffer.concat([out.subarray(0, at), out.subarray(at + random.int(32))]);
    else out.fill(0xff, at, Math.min(at + 4, out.length));
  }
  return out;
}
