import assert from 'node:assert/strict';
import { Handshake, type ExportFacts, type TlsPolicy } from './handshake.js';
import {
  GREETING_BYTES,
  OPT_ABORT,
  OPT_EXPORT_NAME,
  OPT_EXTENDED_HEADERS,
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
  REP_INFO,
  REP_META_CONTEXT,
  REP_SERVER,
} from './protocol.js';
import { MAX_OPTIONS, MAX_OPTION_BYTES, MAX_SKIPPED_OPTION_BYTES } from '../limits.js';
import {
  clientFlags,
  contextData,
  infoData,
  nbdString,
  option,
  parseOptionReplies,
  u16,
  u32,
  type OptionReply,
} from '../testing/nbd-talk.test.kit.js';

const facts = (name: string, sizeBytes = 2 ** 33 + 512): ExportFacts => ({
  name,
  description: `about ${name}`,
  sizeBytes,
  flags: 0x0d6d,
  minBlockBytes: 1,
  preferredBlockBytes: 4096,
  maxBlockBytes: 32 * 2 ** 20,
});

class Server {
  readonly handshake: Handshake;
  readonly greeting: Buffer;
  constructor(exports: ExportFacts[] = [facts('one')], tls: TlsPolicy = 'off') {
    const find = (name: string): ExportFacts | null =>
      exports.find((e) => e.name === name) ?? (name === '' && exports.length === 1 ? exports[0]! : null);
    this.handshake = new Handshake({ find, list: () => exports }, tls);
    this.greeting = this.output();
    assert.equal(this.feed(clientFlags()).length, 0);
  }

  output(): Buffer {
    return Buffer.concat(this.handshake.replies.take());
  }

  feed(bytes: Uint8Array): Buffer {
    while (bytes.length > 0) {
      const used = this.handshake.consume(bytes);
      if (used === 0) break;
      bytes = bytes.subarray(used);
    }
    return this.output();
  }

  ask(number: number, data?: Uint8Array): OptionReply[] {
    return parseOptionReplies(this.feed(option(number, data)));
  }

  types(number: number, data?: Uint8Array): number[] {
    return this.ask(number, data).map((reply) => reply.type);
  }
}

describe('NBD handshake', () => {
  it('greets with the fixed newstyle and offers to leave out the zeroes', () => {
    const { greeting } = new Server();
    assert.equal(greeting.length, GREETING_BYTES);
    assert.equal(greeting.toString('latin1', 0, 16), 'NBDMAGICIHAVEOPT');
    assert.equal(greeting.readUInt16BE(16), 3);
  });

  it('ends a connection whose client accepts what nobody offered', () => {
    const handshake = new Handshake({ find: () => null, list: () => [] }, 'off');
    handshake.consume(clientFlags(4));
    assert.equal(handshake.state, 'closed');
  });

  it('answers GO with size, flags, name, description and block sizes, and goes on to transmission', () => {
    const server = new Server();
    const replies = server.ask(OPT_GO, infoData('one', [1, 2, 3]));
    assert.deepEqual(
      replies.map((r) => r.type),
      [REP_INFO, REP_INFO, REP_INFO, REP_INFO, REP_ACK],
    );
    const [size, name, about, blocks] = replies.map((r) => r.data);
    assert.equal(size!.readBigUInt64BE(2), 2n ** 33n + 512n);
    assert.equal(size!.readUInt16BE(10), 0x0d6d);
    assert.equal(name!.toString('utf8', 2), 'one');
    assert.equal(about!.toString('utf8', 2), 'about one');
    assert.deepEqual(
      [2, 6, 10].map((at) => blocks!.readUInt32BE(at)),
      [1, 4096, 32 * 2 ** 20],
    );
    assert.equal(server.handshake.state, 'transmission');
    assert.equal(server.handshake.chosen!.name, 'one');
  });

  it('answers INFO alike and stays in the handshake', () => {
    const server = new Server();
    assert.deepEqual(server.types(OPT_INFO, infoData('one')), [REP_INFO, REP_INFO, REP_ACK]);
    assert.equal(server.handshake.state, 'options');
  });

  it('says that an export is unknown, and lets the client choose another', () => {
    const server = new Server([facts('one'), facts('two')]);
    assert.deepEqual(server.types(OPT_GO, infoData('three')), [REP_ERR_UNKNOWN]);
    assert.deepEqual(server.types(OPT_GO, infoData('')), [REP_ERR_UNKNOWN]);
    assert.deepEqual(server.types(OPT_GO, infoData('two')).at(-1), REP_ACK);
  });

  it('lists every export with its description', () => {
    const replies = new Server([facts('one'), facts('')]).ask(OPT_LIST);
    assert.deepEqual(
      replies.map((r) => r.type),
      [REP_SERVER, REP_SERVER, REP_ACK],
    );
    assert.deepEqual(replies[0]!.data, Buffer.concat([nbdString('one'), Buffer.from('about one')]));
  });

  it('answers EXPORT_NAME with or without 124 zeroes, and closes when there is no such export', () => {
    const lean = new Server();
    assert.equal(lean.feed(option(OPT_EXPORT_NAME, Buffer.from('one'))).length, 10);
    const old = new Handshake({ find: () => facts('one'), list: () => [] }, 'off');
    old.replies.take();
    old.consume(clientFlags(1));
    old.consume(option(OPT_EXPORT_NAME, Buffer.from('one')));
    assert.equal(Buffer.concat(old.replies.take()).length, 134);
    const wrong = new Server();
    assert.equal(wrong.feed(option(OPT_EXPORT_NAME, Buffer.from('two'))).length, 0);
    assert.equal(wrong.handshake.state, 'closed');
    const garbled = new Server();
    garbled.feed(option(OPT_EXPORT_NAME, Buffer.from([0xff, 0xfe])));
    assert.equal(garbled.handshake.state, 'closed');
  });

  it('offers base:allocation only after structured replies, and only for the export it was chosen for', () => {
    const server = new Server([facts('one'), facts('two')]);
    assert.deepEqual(server.types(OPT_SET_META_CONTEXT, contextData('one')), [REP_ERR_INVALID]);
    assert.deepEqual(server.types(OPT_STRUCTURED_REPLY), [REP_ACK]);
    assert.deepEqual(server.types(OPT_SET_META_CONTEXT, contextData('one')), [REP_META_CONTEXT, REP_ACK]);
    server.ask(OPT_GO, infoData('two'));
    assert.equal(server.handshake.hasContext, false);
    const other = new Server();
    other.ask(OPT_STRUCTURED_REPLY);
    other.ask(OPT_SET_META_CONTEXT, contextData(''));
    other.ask(OPT_GO, infoData('one'));
    assert.equal(other.handshake.hasContext, true);
  });

  it('forgets the chosen context when another SET fails or chooses nothing', () => {
    const server = new Server();
    server.ask(OPT_STRUCTURED_REPLY);
    server.ask(OPT_SET_META_CONTEXT, contextData('one'));
    assert.deepEqual(server.types(OPT_SET_META_CONTEXT, contextData('one', ['qemu:dirty-bitmap:x'])), [REP_ACK]);
    server.ask(OPT_GO, infoData('one'));
    assert.equal(server.handshake.hasContext, false);
  });

  it('lists its contexts for no query and for the namespace, but SET takes no wildcard', () => {
    const server = new Server();
    server.ask(OPT_STRUCTURED_REPLY);
    for (const queries of [[], ['base:'], ['base:allocation']]) {
      const types = server.types(OPT_LIST_META_CONTEXT, contextData('one', queries));
      assert.deepEqual(types, [REP_META_CONTEXT, REP_ACK]);
    }
    assert.deepEqual(server.types(OPT_LIST_META_CONTEXT, contextData('one', ['other:'])), [REP_ACK]);
    assert.deepEqual(server.types(OPT_SET_META_CONTEXT, contextData('one', ['base:'])), [REP_ACK]);
  });

  it('refuses malformed options and goes on', () => {
    const server = new Server();
    const broken = [
      Buffer.alloc(0),
      u32(1000),
      Buffer.concat([nbdString('one'), u16(3), u16(1)]),
      Buffer.concat([infoData('one'), Buffer.from('x')]),
      Buffer.concat([u32(2), Buffer.from([0xc3, 0x28]), u16(0)]),
    ];
    for (const data of broken) assert.deepEqual(server.types(OPT_GO, data), [REP_ERR_INVALID]);
    assert.deepEqual(server.types(OPT_LIST, u32(0)), [REP_ERR_INVALID]);
    assert.deepEqual(server.types(OPT_STRUCTURED_REPLY, u32(0)), [REP_ERR_INVALID]);
    server.ask(OPT_STRUCTURED_REPLY);
    assert.deepEqual(server.types(OPT_SET_META_CONTEXT, Buffer.concat([nbdString('one'), u32(2 ** 32 - 1)])), [
      REP_ERR_INVALID,
    ]);
    assert.equal(server.handshake.state, 'options');
  });

  it('says that it does not know an option', () => {
    assert.deepEqual(new Server().types(OPT_EXTENDED_HEADERS), [REP_ERR_UNSUP]);
    assert.deepEqual(new Server().types(4711, Buffer.alloc(100)), [REP_ERR_UNSUP]);
    assert.deepEqual(new Server().types(OPT_STARTTLS), [REP_ERR_UNSUP]);
  });

  it('skips an option that is too long, and does not wait for one without end', () => {
    const server = new Server();
    assert.deepEqual(server.types(4711, Buffer.alloc(MAX_OPTION_BYTES + 1)), [REP_ERR_TOO_BIG]);
    assert.deepEqual(server.types(OPT_LIST), [REP_SERVER, REP_ACK]);
    server.feed(option(4711, Buffer.alloc(MAX_SKIPPED_OPTION_BYTES + 1)));
    assert.equal(server.handshake.state, 'closed');
  });

  it('tells nothing in the clear when TLS is required', () => {
    const server = new Server([facts('one')], 'require');
    for (const number of [OPT_LIST, OPT_INFO, OPT_GO, OPT_STRUCTURED_REPLY, 4711]) {
      assert.deepEqual(server.types(number, infoData('one')), [REP_ERR_TLS_REQD]);
    }
    server.feed(option(OPT_EXPORT_NAME, Buffer.from('one')));
    assert.equal(server.handshake.state, 'closed');
  });

  it('forgets what was negotiated before TLS, and starts TLS once', () => {
    const server = new Server([facts('one')], 'allow');
    server.ask(OPT_STRUCTURED_REPLY);
    server.ask(OPT_SET_META_CONTEXT, contextData('one'));
    assert.deepEqual(server.types(OPT_STARTTLS, u32(1)), [REP_ERR_INVALID]);
    assert.deepEqual(server.types(OPT_STARTTLS), [REP_ACK]);
    assert.equal(server.handshake.state, 'starttls');
    server.handshake.secured();
    assert.equal(server.handshake.structured, false);
    assert.deepEqual(server.types(OPT_STARTTLS), [REP_ERR_INVALID]);
    server.ask(OPT_GO, infoData('one'));
    assert.equal(server.handshake.hasContext, false);
    assert.equal(server.handshake.state, 'transmission');
  });

  it('ends on ABORT, on a wrong magic, and after more options than anybody needs', () => {
    const aborted = new Server();
    assert.deepEqual(aborted.types(OPT_ABORT), [REP_ACK]);
    assert.equal(aborted.handshake.state, 'closed');
    const garbled = new Server();
    garbled.feed(Buffer.alloc(16, 'G'));
    assert.equal(garbled.handshake.state, 'closed');
    const endless = new Server();
    for (let i = 0; i <= MAX_OPTIONS; i++) endless.feed(option(4711));
    assert.equal(endless.handshake.state, 'closed');
  });

  it('does not care where the stream is cut', () => {
    const whole = Buffer.concat([option(OPT_STRUCTURED_REPLY), option(OPT_LIST), option(OPT_GO, infoData('one'))]);
    const answers = new Server().feed(whole);
    const server = new Server();
    const parts: Buffer[] = [];
    for (let from = 0, to = 1; to <= whole.length; to++) {
      const used = server.handshake.consume(whole.subarray(from, to));
      parts.push(server.output());
      from += used;
    }
    assert.deepEqual(Buffer.concat(parts), answers);
  });
});
