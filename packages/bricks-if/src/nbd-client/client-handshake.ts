import {
  CONTEXT_ALLOCATION,
  EXPORT_NAME_PADDING_BYTES,
  FLAG_FIXED_NEWSTYLE,
  FLAG_NO_ZEROES,
  GREETING_BYTES,
  INFO_BLOCK_SIZE,
  INFO_EXPORT,
  NBD_MAGIC_HI,
  NBD_MAGIC_LO,
  OPTION_HEADER_BYTES,
  OPTION_MAGIC_HI,
  OPTION_MAGIC_LO,
  OPTION_REPLY_BYTES,
  OPTION_REPLY_MAGIC_HI,
  OPTION_REPLY_MAGIC_LO,
  OPT_EXPORT_NAME,
  OPT_GO,
  OPT_SET_META_CONTEXT,
  OPT_STARTTLS,
  OPT_STRUCTURED_REPLY,
  REP_ACK,
  REP_ERR_POLICY,
  REP_ERR_TLS_REQD,
  REP_ERR_UNKNOWN,
  REP_ERR_UNSUP,
  REP_INFO,
  REP_META_CONTEXT,
  DEFAULT_MAX_PAYLOAD_BYTES,
} from '../nbd/protocol.js';
import { MAX_OPTION_REPLIES, MAX_OPTION_REPLY_BYTES, MAX_SERVER_TEXT } from './limits.js';

const REP_ERROR_BIT = 2 ** 31;
const U32 = 2 ** 32;

/** What the server said about the export. */
export interface ExportTerms {
  sizeBytes: number;
  /** `CAN_*` bits. */
  flags: number;
  minBlockBytes: number;
  preferredBlockBytes: number;
  maxBlockBytes: number;
  structured: boolean;
  /** Number of base:allocation; -1 = not offered. */
  contextId: number;
}

/** `secure`: the server waits for a TLS handshake; go on with {@link ClientHandshake.secured} behind it. */
type State = 'greeting' | 'starttls' | 'secure' | 'structured' | 'context' | 'go' | 'name' | 'done' | 'failed';

/**
 * Client side of the fixed newstyle handshake: bytes in, bytes out, no I/O. It asks for structured replies, then for
 * base:allocation, then for the export, and does without what is refused. It never throws, whatever the server sends.
 *
 * Source: doc/proto.md of the NetworkBlockDevice project, "Handshake phase"
 */
export class ClientHandshake {
  state: State = 'greeting';
  /** Why it failed, for people. */
  reason = '';
  readonly terms: ExportTerms = {
    sizeBytes: -1,
    flags: 0,
    minBlockBytes: 1,
    preferredBlockBytes: 4096,
    maxBlockBytes: DEFAULT_MAX_PAYLOAD_BYTES,
    structured: false,
    contextId: -1,
  };
  private out: Uint8Array | null = null;
  private noZeroes = false;
  private replies = 0;
  private readonly name: Uint8Array;

  /** @param wantsTls nothing but the wish for TLS is said in the clear */
  constructor(
    exportName: string,
    private readonly wantsTls = false,
  ) {
    this.name = new TextEncoder().encode(exportName);
  }

  /** What is to be sent now; null = nothing. */
  takeOutput(): Uint8Array | null {
    const { out } = this;
    this.out = null;
    return out;
  }

  /** @returns how many bytes it used; 0 = more are needed, or it is over */
  consume(bytes: Uint8Array): number {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (this.state === 'done' || this.state === 'failed' || this.state === 'secure') return 0;
    if (this.state === 'greeting') return this.greeting(view);
    if (this.state === 'name') return this.nameReply(view);
    return this.optionReply(view);
  }

  private greeting(view: DataView): number {
    if (view.byteLength < GREETING_BYTES) return 0;
    const isNbd = view.getUint32(0) === NBD_MAGIC_HI && view.getUint32(4) === NBD_MAGIC_LO;
    const isNewstyle = view.getUint32(8) === OPTION_MAGIC_HI && view.getUint32(12) === OPTION_MAGIC_LO;
    const flags = view.getUint16(16);
    if (!isNbd || !isNewstyle) return this.fail(isNbd ? 'it speaks the oldstyle protocol' : 'it is no NBD server');
    if (!(flags & FLAG_FIXED_NEWSTYLE)) return this.fail('it does not speak the fixed newstyle protocol');
    this.noZeroes = (flags & FLAG_NO_ZEROES) !== 0;
    const hello = new Uint8Array(4);
    new DataView(hello.buffer).setUint32(0, FLAG_FIXED_NEWSTYLE | (this.noZeroes ? FLAG_NO_ZEROES : 0));
    if (this.wantsTls) this.ask('starttls', OPT_STARTTLS, [], hello);
    else this.ask('structured', OPT_STRUCTURED_REPLY, [], hello);
    return GREETING_BYTES;
  }

  /** The TLS handshake is done: what follows is said in secret. */
  secured(): void {
    this.ask('structured', OPT_STRUCTURED_REPLY, []);
  }

  private optionReply(view: DataView): number {
    if (view.byteLength < OPTION_REPLY_BYTES) return 0;
    const isReply = view.getUint32(0) === OPTION_REPLY_MAGIC_HI && view.getUint32(4) === OPTION_REPLY_MAGIC_LO;
    const length = view.getUint32(16);
    if (!isReply || view.getUint32(8) !== OPTION_OF[this.state as keyof typeof OPTION_OF])
      return this.fail('it answers something that was not asked');
    if (length > MAX_OPTION_REPLY_BYTES || ++this.replies > MAX_OPTION_REPLIES)
      return this.fail('its answer has no end');
    if (view.byteLength < OPTION_REPLY_BYTES + length) return 0;
    this.understand(view.getUint32(12), new DataView(view.buffer, view.byteOffset + OPTION_REPLY_BYTES, length));
    return OPTION_REPLY_BYTES + length;
  }

  private understand(type: number, data: DataView): void {
    if (this.state === 'starttls') this.tlsReply(type, data);
    else if (type === REP_ERR_TLS_REQD) this.fail('it demands TLS');
    else if (this.state === 'structured') this.structuredReply(type);
    else if (this.state === 'context') this.contextReply(type, data);
    else this.goReply(type, data);
  }

  private tlsReply(type: number, data: DataView): void {
    if (type === REP_ACK) this.state = 'secure';
    else this.fail(`it does no TLS${type >= REP_ERROR_BIT ? said(data) : ''}`);
  }

  private structuredReply(type: number): void {
    this.terms.structured = type === REP_ACK;
    if (!this.terms.structured) return this.go();
    const query = new TextEncoder().encode(CONTEXT_ALLOCATION);
    this.ask('context', OPT_SET_META_CONTEXT, [u32(this.name.length), this.name, u32(1), u32(query.length), query]);
  }

  private contextReply(type: number, data: DataView): void {
    if (type !== REP_META_CONTEXT) return this.go();
    if (data.byteLength === 4 + CONTEXT_ALLOCATION.length) this.terms.contextId = data.getUint32(0);
    else this.fail('it selects a context that was not asked for');
  }

  private go(): void {
    const infos = new Uint8Array([0, 1, 0, INFO_BLOCK_SIZE]);
    this.ask('go', OPT_GO, [u32(this.name.length), this.name, infos]);
  }

  private goReply(type: number, data: DataView): void {
    const { terms } = this;
    if (type === REP_INFO) this.info(data);
    else if (type === REP_ACK) {
      if (terms.sizeBytes < 0) this.fail('it does not say how large the export is');
      else this.agreed();
    } else if (type === REP_ERR_UNSUP) this.ask('name', OPT_EXPORT_NAME, [this.name]);
    else this.fail(refusal(type, data));
  }

  private info(data: DataView): void {
    const { terms } = this;
    const kind = data.byteLength < 2 ? -1 : data.getUint16(0);
    if (kind === INFO_EXPORT && data.byteLength === 12) this.exportIs(data, 2);
    else if (kind === INFO_BLOCK_SIZE && data.byteLength === 14) {
      terms.minBlockBytes = data.getUint32(2);
      terms.preferredBlockBytes = data.getUint32(6);
      terms.maxBlockBytes = data.getUint32(10);
    } else if (kind === -1 || kind === INFO_EXPORT || kind === INFO_BLOCK_SIZE) this.fail('it sends garbage');
  }

  private nameReply(view: DataView): number {
    const length = 10 + (this.noZeroes ? 0 : EXPORT_NAME_PADDING_BYTES);
    if (view.byteLength < length) return 0;
    this.exportIs(view, 0);
    this.agreed();
    return length;
  }

  private exportIs(view: DataView, at: number): void {
    this.terms.sizeBytes = view.getUint32(at) * U32 + view.getUint32(at + 4);
    this.terms.flags = view.getUint16(at + 8);
  }

  private agreed(): void {
    const { sizeBytes, minBlockBytes, preferredBlockBytes, maxBlockBytes } = this.terms;
    const isSane = isPower(minBlockBytes) && minBlockBytes <= 65536 && isPower(preferredBlockBytes);
    if (!Number.isSafeInteger(sizeBytes)) this.fail('it claims to be larger than any device');
    else if (!isSane || preferredBlockBytes < minBlockBytes || maxBlockBytes < minBlockBytes)
      this.fail(`its block sizes make no sense (${minBlockBytes}, ${preferredBlockBytes}, ${maxBlockBytes})`);
    else if (this.state !== 'failed') this.state = 'done';
  }

  private ask(state: State, option: number, parts: Uint8Array[], before = new Uint8Array(0)): void {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    const head = new Uint8Array(OPTION_HEADER_BYTES);
    const view = new DataView(head.buffer);
    view.setUint32(0, OPTION_MAGIC_HI);
    view.setUint32(4, OPTION_MAGIC_LO);
    view.setUint32(8, option);
    view.setUint32(12, length);
    this.out = concat([before, head, ...parts]);
    this.state = state;
  }

  private fail(reason: string): number {
    this.state = 'failed';
    this.reason = reason;
    return 0;
  }
}

const OPTION_OF = {
  starttls: OPT_STARTTLS,
  structured: OPT_STRUCTURED_REPLY,
  context: OPT_SET_META_CONTEXT,
  go: OPT_GO,
};

function refusal(type: number, data: DataView): string {
  if (type === REP_ERR_UNKNOWN) return 'it has no export of that name';
  if (type === REP_ERR_POLICY) return `its policy forbids it${said(data)}`;
  return type >= REP_ERROR_BIT ? `it refuses the export (${type - REP_ERROR_BIT})${said(data)}` : 'it sends garbage';
}

/** Words of the server, without what could harm a terminal. */
function said(data: DataView): string {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, Math.min(data.byteLength, MAX_SERVER_TEXT));
  const text = new TextDecoder().decode(bytes).replace(/\p{C}/gu, ' ').trim();
  return text === '' ? '' : `: ${text}`;
}

function isPower(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
