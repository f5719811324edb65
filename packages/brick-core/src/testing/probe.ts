import { BrickBase } from '../brick/brick-base.js';
import { Brick } from '../brick/meta.js';
import { invariant } from '../invariant.js';
import { CAP_DIGESTS } from '../request/info.js';
import {
  DIGESTS_PAYLOAD_BYTES,
  EXTENTS_PAYLOAD_BYTES,
  OP_DIGESTS,
  OP_EXTENTS,
  OP_NAMES,
  OP_READ,
  OP_WRITE,
  spanFlags,
  type OpName,
} from '../request/ops.js';
import type { XioObject } from '../request/xio-object.js';

/** What a test asks for. */
export interface ProbeRequest {
  op: OpName;
  posBytes?: number;
  lenBytes?: number;
  /** Payload of a write; its length is the length of the request. */
  data?: Uint8Array | string;
  flags?: number;
}

/** How it ended. */
export interface ProbeResult {
  /** 0 or a negative errno. */
  err: number;
  /** Bytes served. */
  lenBytes: number;
  /** Payload after a read or an extents query; empty otherwise. */
  data: Uint8Array;
  /** How many answers this probe had seen before. */
  order: number;
}

class Sent {
  request: ProbeRequest = { op: 'read' };
  done: ((result: ProbeResult) => void) | undefined = undefined;
  /** Fields as they were sent; a brick must put them back. */
  fields = '';
  payload: Uint8Array | null = null;
}

/**
 * The consumer on top of a brick that is tested: sends requests with callbacks and checks on every answer what must hold
 * for every brick: answered once, fields as they were, payload of a write untouched.
 */
@Brick({
  type: 'test-probe',
  about: 'Consumer of the test kit.',
  inputs: { next: { perm: ['read', 'write'], share: ['read', 'write'] } },
})
export class Probe extends BrickBase {
  answered = 0;
  sent = 0;

  /** Sends one request; the callback runs at its completion. Returns false when pool or arena are exhausted. */
  send(request: ProbeRequest, done?: (result: ProbeResult) => void): boolean {
    const data = typeof request.data === 'string' ? new TextEncoder().encode(request.data) : request.data;
    const lenBytes = data?.length ?? request.lenBytes ?? 0;
    const o = this.ctx.pool.take(this, payloadBytes(request.op, lenBytes));
    if (o === null) return false;
    o.op = OP_NAMES.indexOf(request.op);
    o.pos = request.posBytes ?? 0;
    o.len = lenBytes;
    o.flags = request.flags ?? this.usualFlags(request.op);
    if (data !== undefined) this.ctx.mem.u8.set(data, o.buf);
    const sent = (o.aspects[this.ctx.slot] = new Sent());
    sent.request = request;
    sent.done = done;
    sent.fields = fieldsOf(o);
    sent.payload = o.op === OP_WRITE ? (data ?? null) : null;
    this.sent++;
    o.push(this);
    this.input('next').io(o);
    return true;
  }

  /** DIGESTS must name an algorithm and a span; nothing else needs flags. */
  private usualFlags(op: OpName): number {
    const offered = this.input('next').cached.caps & CAP_DIGESTS;
    return op === 'digests' ? (offered & -offered) | spanFlags(USUAL_SPAN_LOG2) : 0;
  }

  complete(o: XioObject): void {
    const { done, fields, payload } = o.aspects[this.ctx.slot] as Sent;
    invariant(fieldsOf(o) === fields, `a brick did not restore the request: sent ${fields}, came back ${fieldsOf(o)}`);
    if (payload !== null) {
      const now = this.ctx.mem.u8.subarray(o.buf, o.buf + payload.length);
      invariant(
        Buffer.compare(now, payload) === 0,
        'a brick changed the payload of a write, which belongs to the consumer',
      );
    }
    const hasData = o.err === 0 && ANSWERS_WITH_DATA.has(o.op);
    const data = hasData ? this.ctx.mem.u8.slice(o.buf, o.buf + o.len) : new Uint8Array(0);
    const result: ProbeResult = { err: o.err, lenBytes: o.len, data, order: this.answered++ };
    this.ctx.pool.free(o);
    done?.(result);
  }
}

/** Span of DIGESTS when a test does not care, as a power of two. */
const USUAL_SPAN_LOG2 = 16;

/** Operations that fill the payload and set `len` to what they filled. */
const ANSWERS_WITH_DATA: ReadonlySet<number> = new Set([OP_READ, OP_EXTENTS, OP_DIGESTS]);

function payloadBytes(op: OpName, lenBytes: number): number {
  if (op === 'extents') return EXTENTS_PAYLOAD_BYTES;
  if (op === 'digests') return DIGESTS_PAYLOAD_BYTES;
  return op === 'read' || op === 'write' ? lenBytes : 0;
}

/** Everything that a brick below may change for a while but must put back. A read may come back shorter. */
function fieldsOf(o: XioObject): string {
  const len = ANSWERS_WITH_DATA.has(o.op) ? '' : ` len ${o.len}`;
  return `${OP_NAMES[o.op]} pos ${o.pos}${len} flags ${o.flags & ~1} prio ${o.prio} buf ${o.buf}`;
}
