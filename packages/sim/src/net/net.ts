import type { Net, NetListener, NetStream } from '@mars/brick-core';
import type { Life } from '../world/life.js';
import type { SimNetwork } from './network.js';
export class SimNet implements Net {
  constructor(_network: SimNetwork, _host: string, _life: Life) {}
  connect(): Promise<NetStream> {
    throw new Error('to come');
  }
  listen(): Promise<NetListener> {
    throw new Error('to come');
  }
}
