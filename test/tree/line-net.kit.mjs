// Peers that find each other over simulated streams, without certificates: the host at the other end is who the network says it is.
import { Session as WireSession } from '../../packages/wire/dist/channel/session.js';

const BACK_OFF_MS = 200;
const CONNECT_TIMEOUT_MS = 2_000;

/** A stream as `wire` wants it; the simulated one uses `peer` for something else. */
function plain(stream) {
  return {
    remote: stream.remote,
    peer: null,
    isEncrypted: false,
    write: (bytes) => stream.write(bytes),
    end: () => stream.end(),
    destroy: (error) => stream.destroy(error),
    onData: (handler) => stream.onData(handler),
    onDrain: (handler) => stream.onDrain(handler),
    onClose: (handler) => stream.onClose(handler),
    pause: () => stream.pause(),
    resume: () => stream.resume(),
  };
}

export class LinePeerNet {
  links = new Set();
  channels = new Set();

  constructor({ host, stamps, mayDial }) {
    Object.assign(this, { host, stamps, mayDial, handlers: new Map() });
  }

  serve(purpose, accept) {
    this.handlers.set(purpose, accept);
  }

  async listen(address) {
    this.listener = await this.host.net.listen(address, (stream) =>
      this.handlers.get('tree')(this.channel(stream, stream.remoteHost)),
    );
  }

  link(host, address, purpose, events) {
    const link = new LineLink(this, host, address, events);
    this.links.add(link);
    return link;
  }

  channel(stream, remoteHost) {
    const channel = new WireSession({ stream: plain(stream), clock: this.host.loop, stamps: this.stamps });
    channel.remote = { host: remoteHost, purpose: 'tree', version: 'test', capabilities: new Set() };
    channel.admit(true);
    this.channels.add(channel);
    channel.onClose(() => this.channels.delete(channel));
    return channel;
  }

  close() {
    for (const link of this.links) link.stop();
    for (const channel of this.channels) channel.close();
    void this.listener?.close();
  }
}

class LineLink {
  channel = null;
  isStarted = false;
  isBusy = false;
  attempts = 0;

  constructor(net, host, address, events) {
    Object.assign(this, { net, host, address, events });
  }

  get status() {
    const state = this.channel !== null ? 'up' : this.isStarted ? 'connecting' : 'off';
    return {
      host: this.host,
      address: this.address,
      state,
      attempts: this.attempts,
      lastError: null,
      certificateExpiresMs: null,
    };
  }

  start() {
    this.isStarted = true;
    if (!this.isBusy && this.channel === null) void this.dial();
  }

  stop() {
    this.isStarted = false;
    this.channel?.close();
  }

  kick() {}

  setAddress(address) {
    this.address = address;
    this.channel?.close();
  }

  async dial() {
    const { net } = this;
    this.isBusy = true;
    while (this.isStarted && this.channel === null) {
      this.attempts++;
      try {
        if (!net.mayDial(net.host.name, this.host)) throw new Error('behind a translator of addresses');
        const stream = await net.host.net.connect(this.address, { timeoutMs: CONNECT_TIMEOUT_MS });
        if (!this.isStarted) stream.destroy();
        else this.up(net.channel(stream, this.host));
      } catch (error) {
        if (error.constructor.name === 'HostCrashed') throw error;
        await net.host.loop.sleep(BACK_OFF_MS * (1 + net.host.random.float()));
      }
    }
    this.isBusy = false;
  }

  up(channel) {
    this.channel = channel;
    this.attempts = 0;
    channel.onClose(() => {
      this.channel = null;
      if (this.isStarted && !this.isBusy)
        this.net.host.loop.after(1 + this.net.host.random.float() * BACK_OFF_MS, this, (self) => {
          if (self.isStarted && !self.isBusy && self.channel === null) void self.dial();
        });
    });
    this.events.up(channel);
  }
}
