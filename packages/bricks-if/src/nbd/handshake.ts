import { MAX_OPTION_BYTES, MAX_OPTIONS, MAX_SKIPPED_OPTION_BYTES } from '../limits.js';
import { OptionBody } from './option-body.js';
import { OptionReplies } from './option-replies.js';
import {
  CLIENT_FLAGS_BYTES,
  CONTEXT_ALLOCATION,
  CONTEXT_NAMESPACE,
  FLAG_FIXED_NEWSTYLE,
  FLAG_NO_ZEROES,
  INFO_DESCRIPTION,
  INFO_NAME,
  OPTION_HEADER_BYTES,
  OPTION_MAGIC_HI,
  OPTION_MAGIC_LO,
  OPT_ABORT,
  OPT_EXPORT_NAME,
  OPT_GO,
  OPT_INFO,
  OPT_LIST,
  OPT_LIST_META_CONTEXT,
  OPT_SET_META_CONTEXT,
  OPT_STARTTLS,
  OPT_STRUCTURED_REPLY,
  REP_ACK,
  REP_ERR_INVALID,
  REP_ERR_TLS_REQD,
  REP_ERR_TOO_BIG,
  REP_ERR_UNKNOWN,
  REP_ERR_UNSUP,
} from './protocol.js';

/** What the handshake tells about an export. */
export interface ExportFacts {
  readonly name: string;
  readonly description: string;
  /** Bytes. */
  readonly sizeBytes: number;
  /** `CAN_*` bits. */
  readonly flags: number;
  readonly minBlockBytes: number;
  readonly preferredBlockBytes: number;
  readonly maxBlockBytes: number;
}

/** The exports of one listener. */
export interface ExportDirectory<E extends ExportFacts> {
  /** By name; the empty name is the default export, if there is one. */
  find(name: string): E | null;
  list(): Iterable<E>;
}

export type TlsPolicy = 'off' | 'allow' | 'require';

/**
 * - `options`: more bytes are needed
 * - `starttls`: send the output, do the TLS handshake, then call {@link Handshake.secured}
 * - `transmission`: send the output, then serve {@link Handshake.chosen}
 * - `closed`: send the output, then close
 */
export type HandshakeState = 'flags' | 'options' | 'starttls' | 'transmission' | 'closed';

/**
 * Server side of the fixed newstyle handshake: bytes in, bytes out, no I/O. Cold path: it may allocate, within the bounds of
 * `limits.ts`. It never throws, whatever the client sends.
 *
 * Source: doc/proto.md of the NetworkBlockDevice project, "Handshake phase"
 */
export class Handshake<E extends ExportFacts = ExportFacts> {
  state: HandshakeState = 'flags';
  /** The export of `transmission`. */
  chosen: E | null = null;
  structured = false;
  /** Why it was closed, for the log. */
  reason = '';
  readonly replies = new OptionReplies();
  private noZeroes = false;
  private contextOf: string | null = null;
  private isSecure = false;
  private skipBytes = 0;
  private options = 0;

  constructor(
    private readonly exports: ExportDirectory<E>,
    private readonly tls: TlsPolicy,
  ) {
    this.replies.greeting(FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES);
  }

  /** base:allocation was chosen for the export that is served. */
  get hasContext(): boolean {
    return this.chosen !== null && this.contextOf === this.chosen.name;
  }

  /**
   * Takes what it understands, at most one option, so that its output can leave before the next one is looked at.
   * @returns how many bytes it used; 0 = more are needed, or the state is not `flags` or `options`
   */
  consume(bytes: Uint8Array): number {
    if (this.skipBytes > 0) return this.skip(bytes);
    if (this.state === 'flags') return this.clientFlags(bytes);
    if (this.state === 'options') return this.option(bytes);
    return 0;
  }

  /** The TLS handshake has succeeded: everything that was negotiated in the clear is void. */
  secured(): void {
    this.isSecure = true;
    this.structured = false;
    this.contextOf = null;
    this.state = 'options';
  }

  private skip(bytes: Uint8Array): number {
    const n = Math.min(this.skipBytes, bytes.length);
    this.skipBytes -= n;
    return n;
  }

  private clientFlags(bytes: Uint8Array): number {
    if (bytes.length < CLIENT_FLAGS_BYTES) return 0;
    const flags = viewOf(bytes).getUint32(0);
    if (flags & ~(FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES)) this.close('client flags that nobody offered');
    else this.state = 'options';
    this.noZeroes = (flags & FLAG_NO_ZEROES) !== 0;
    return CLIENT_FLAGS_BYTES;
  }

  private option(bytes: Uint8Array): number {
    if (bytes.length < OPTION_HEADER_BYTES) return 0;
    const view = viewOf(bytes);
    if (view.getUint32(0) !== OPTION_MAGIC_HI || view.getUint32(4) !== OPTION_MAGIC_LO) return this.close('bad magic');
    if (++this.options > MAX_OPTIONS) return this.close('too many options');
    const option = view.getUint32(8);
    const length = view.getUint32(12);
    if (length > MAX_OPTION_BYTES) return this.tooLong(option, length);
    if (bytes.length < OPTION_HEADER_BYTES + length) {
      this.options--;
      return 0;
    }
    this.answer(option, new OptionBody(bytes.subarray(OPTION_HEADER_BYTES, OPTION_HEADER_BYTES + length)));
    return OPTION_HEADER_BYTES + length;
  }

  private tooLong(option: number, length: number): number {
    if (length > MAX_SKIPPED_OPTION_BYTES || option === OPT_EXPORT_NAME) return this.close('an option without end');
    this.skipBytes = length;
    this.replies.error(option, REP_ERR_TOO_BIG, 'the option is too long');
    return OPTION_HEADER_BYTES;
  }

  private answer(option: number, body: OptionBody): void {
    if (option === OPT_ABORT) {
      this.replies.plain(option, REP_ACK);
      this.close('the client gave up');
    } else if (option === OPT_STARTTLS) this.startTls(body);
    else if (this.tls === 'require' && !this.isSecure) this.refuseInTheClear(option);
    else this.answerOpen(option, body);
  }

  private answerOpen(option: number, body: OptionBody): void {
    switch (option) {
      case OPT_EXPORT_NAME:
        return this.exportName(body);
      case OPT_LIST:
        return this.list(body);
      case OPT_INFO:
      case OPT_GO:
        return this.info(option, body);
      case OPT_STRUCTURED_REPLY:
        return this.structuredReply(body);
      case OPT_LIST_META_CONTEXT:
      case OPT_SET_META_CONTEXT:
        return this.metaContext(option, body);
      default:
        return this.replies.error(option, REP_ERR_UNSUP, 'this server does not know the option');
    }
  }

  private startTls(body: OptionBody): void {
    if (this.tls === 'off') return this.replies.error(OPT_STARTTLS, REP_ERR_UNSUP, 'this server has no TLS');
    if (body.length > 0) return this.invalid(OPT_STARTTLS, 'STARTTLS carries no data');
    if (this.isSecure) return this.invalid(OPT_STARTTLS, 'TLS is on already');
    this.replies.plain(OPT_STARTTLS, REP_ACK);
    this.state = 'starttls';
  }

  private refuseInTheClear(option: number): void {
    if (option === OPT_EXPORT_NAME) this.close('TLS is required');
    else this.replies.error(option, REP_ERR_TLS_REQD, 'start TLS first');
  }

  /** The old way in: there is no error reply, so whatever does not fit ends the connection. */
  private exportName(body: OptionBody): void {
    const name = body.text(body.length);
    const found = name === null ? null : this.exports.find(name);
    if (found === null) return void this.close('an export that does not exist');
    this.chosen = found;
    this.replies.exportName(found, this.noZeroes);
    this.state = 'transmission';
  }

  private list(body: OptionBody): void {
    if (body.length > 0) return this.invalid(OPT_LIST, 'LIST carries no data');
    for (const each of this.exports.list()) this.replies.server(each);
    this.replies.plain(OPT_LIST, REP_ACK);
  }

  private info(option: number, body: OptionBody): void {
    const name = body.string();
    const wanted = body.u16List();
    if (name === null || wanted === null || !body.isAtEnd) return this.invalid(option, 'the option is malformed');
    const found = this.exports.find(name);
    if (found === null) return this.unknown(option, name);
    this.replies.infoExport(option, found);
    if (wanted.includes(INFO_NAME)) this.replies.infoText(option, INFO_NAME, found.name);
    if (wanted.includes(INFO_DESCRIPTION)) this.replies.infoText(option, INFO_DESCRIPTION, found.description);
    // Also for those who did not ask: they may ignore it.
    this.replies.infoBlockSize(option, found);
    this.replies.plain(option, REP_ACK);
    if (option !== OPT_GO) return;
    this.chosen = found;
    this.state = 'transmission';
  }

  private structuredReply(body: OptionBody): void {
    if (body.length > 0) return this.invalid(OPT_STRUCTURED_REPLY, 'STRUCTURED_REPLY carries no data');
    this.structured = true;
    this.replies.plain(OPT_STRUCTURED_REPLY, REP_ACK);
  }

  private metaContext(option: number, body: OptionBody): void {
    // A failed SET leaves nothing selected.
    if (option === OPT_SET_META_CONTEXT) this.contextOf = null;
    if (!this.structured) return this.invalid(option, 'structured replies come first');
    const name = body.string();
    const queries = body.stringList();
    if (name === null || queries === null || !body.isAtEnd) return this.invalid(option, 'the option is malformed');
    const found = this.exports.find(name);
    if (found === null) return this.unknown(option, name);
    const isSet = option === OPT_SET_META_CONTEXT;
    const all = !isSet && (queries.length === 0 || queries.includes(CONTEXT_NAMESPACE));
    if (all || queries.includes(CONTEXT_ALLOCATION)) {
      if (isSet) this.contextOf = found.name;
      this.replies.metaContext(option, isSet ? ALLOCATION_ID : 0, CONTEXT_ALLOCATION);
    }
    this.replies.plain(option, REP_ACK);
  }

  private invalid(option: number, text: string): void {
    this.replies.error(option, REP_ERR_INVALID, text);
  }

  private unknown(option: number, name: string): void {
    this.replies.error(option, REP_ERR_UNKNOWN, name === '' ? 'there is no default export' : 'no such export');
  }

  /** @returns 0, so that nothing more of this client is looked at */
  private close(reason: string): 0 {
    this.state = 'closed';
    this.reason = reason;
    return 0;
  }
}

/** Our number for base:allocation. */
export const ALLOCATION_ID = 1;

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
