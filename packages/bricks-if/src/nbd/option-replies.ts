import type { ExportFacts } from './handshake.js';
import {
  EXPORT_NAME_PADDING_BYTES,
  GREETING_BYTES,
  INFO_BLOCK_SIZE,
  INFO_EXPORT,
  NBD_MAGIC_HI,
  NBD_MAGIC_LO,
  OPTION_MAGIC_HI,
  OPTION_MAGIC_LO,
  OPTION_REPLY_BYTES,
  OPTION_REPLY_MAGIC_HI,
  OPTION_REPLY_MAGIC_LO,
  OPT_LIST,
  REP_INFO,
  REP_META_CONTEXT,
  REP_SERVER,
} from './protocol.js';

const utf8 = new TextEncoder();

/** What the server has to say in the handshake, until it is taken away to be sent. */
export class OptionReplies {
  private parts: Uint8Array[] = [];

  /** Everything since the last call. */
  take(): Uint8Array[] {
    const { parts } = this;
    this.parts = [];
    return parts;
  }

  get isEmpty(): boolean {
    return this.parts.length === 0;
  }

  greeting(flags: number): void {
    const view = this.add(GREETING_BYTES);
    view.setUint32(0, NBD_MAGIC_HI);
    view.setUint32(4, NBD_MAGIC_LO);
    view.setUint32(8, OPTION_MAGIC_HI);
    view.setUint32(12, OPTION_MAGIC_LO);
    view.setUint16(16, flags);
  }

  /** A reply without data. */
  plain(option: number, type: number): void {
    this.reply(option, type, 0);
  }

  error(option: number, type: number, text: string): void {
    this.text(this.reply(option, type, utf8.encode(text).length), OPTION_REPLY_BYTES, text);
  }

  exportName(facts: ExportFacts, noZeroes: boolean): void {
    const view = this.add(10 + (noZeroes ? 0 : EXPORT_NAME_PADDING_BYTES));
    setU64(view, 0, facts.sizeBytes);
    view.setUint16(8, facts.flags);
  }

  server(facts: ExportFacts): void {
    const name = utf8.encode(facts.name);
    const about = utf8.encode(facts.description);
    const view = this.reply(OPT_LIST, REP_SERVER, 4 + name.length + about.length);
    view.setUint32(OPTION_REPLY_BYTES, name.length);
    this.bytes(view, OPTION_REPLY_BYTES + 4, name);
    this.bytes(view, OPTION_REPLY_BYTES + 4 + name.length, about);
  }

  infoExport(option: number, facts: ExportFacts): void {
    const view = this.reply(option, REP_INFO, 12);
    view.setUint16(OPTION_REPLY_BYTES, INFO_EXPORT);
    setU64(view, OPTION_REPLY_BYTES + 2, facts.sizeBytes);
    view.setUint16(OPTION_REPLY_BYTES + 10, facts.flags);
  }

  infoText(option: number, info: number, text: string): void {
    const view = this.reply(option, REP_INFO, 2 + utf8.encode(text).length);
    view.setUint16(OPTION_REPLY_BYTES, info);
    this.text(view, OPTION_REPLY_BYTES + 2, text);
  }

  infoBlockSize(option: number, facts: ExportFacts): void {
    const view = this.reply(option, REP_INFO, 14);
    view.setUint16(OPTION_REPLY_BYTES, INFO_BLOCK_SIZE);
    view.setUint32(OPTION_REPLY_BYTES + 2, facts.minBlockBytes);
    view.setUint32(OPTION_REPLY_BYTES + 6, facts.preferredBlockBytes);
    view.setUint32(OPTION_REPLY_BYTES + 10, facts.maxBlockBytes);
  }

  metaContext(option: number, id: number, name: string): void {
    const view = this.reply(option, REP_META_CONTEXT, 4 + name.length);
    view.setUint32(OPTION_REPLY_BYTES, id);
    this.text(view, OPTION_REPLY_BYTES + 4, name);
  }

  private reply(option: number, type: number, dataBytes: number): DataView {
    const view = this.add(OPTION_REPLY_BYTES + dataBytes);
    view.setUint32(0, OPTION_REPLY_MAGIC_HI);
    view.setUint32(4, OPTION_REPLY_MAGIC_LO);
    view.setUint32(8, option);
    view.setUint32(12, type);
    view.setUint32(16, dataBytes);
    return view;
  }

  private add(bytes: number): DataView {
    const part = new Uint8Array(bytes);
    this.parts.push(part);
    return new DataView(part.buffer);
  }

  private text(view: DataView, at: number, text: string): void {
    this.bytes(view, at, utf8.encode(text));
  }

  private bytes(view: DataView, at: number, bytes: Uint8Array): void {
    new Uint8Array(view.buffer).set(bytes, at);
  }
}

function setU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value % 2 ** 32);
}
