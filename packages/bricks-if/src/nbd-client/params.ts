import type { ParamsSchema } from '@mars/brick-core';
import { MAX_CLIENT_CONNECTIONS, MAX_EXPORT_NAME_BYTES, MAX_HOSTNAME } from './limits.js';

export interface NbdClientParams {
  uri: string;
  export?: string;
  connections: number;
  tls: 'off' | 'require';
  tlsCa?: string;
  tlsCert?: string;
  tlsKey?: string;
  tlsHostname?: string;
  /** ms, 0 = for ever */
  timeout: number;
  /** ms */
  reconnect: number;
  retryWrites: boolean;
  unflushed: 'trust' | 'fail';
  readonly: boolean;
}

export const nbdClientParams: ParamsSchema = {
  required: ['uri'],
  properties: {
    uri: { type: 'string', minLength: 1, about: 'nbd://host[:port]/export, or nbd+unix:///export?socket=/path' },
    export: { type: 'string', maxLength: MAX_EXPORT_NAME_BYTES, about: 'export name; overrides that of the uri' },
    connections: {
      type: 'integer',
      default: 1,
      minimum: 1,
      maximum: MAX_CLIENT_CONNECTIONS,
      about: 'connections; more than one only where the server promises that a flush covers them all',
    },
    tls: {
      enum: ['off', 'require'],
      default: 'off',
      about: 'TLS to the server, which is always verified; nbds: means require',
    },
    tlsCa: {
      type: 'string',
      minLength: 1,
      about: 'PEM file: authorities that sign the server; else those of this machine',
    },
    tlsCert: { type: 'string', minLength: 1, about: 'PEM file: our certificate, for servers that ask for one' },
    tlsKey: { type: 'string', minLength: 1, about: 'PEM file: its private key' },
    tlsHostname: {
      type: 'string',
      minLength: 1,
      maxLength: MAX_HOSTNAME,
      about:
        'name that the certificate of the server must be good for; else the host of the uri, and localhost for unix sockets',
    },
    timeout: {
      unit: 'ms',
      default: 0,
      minimum: 0,
      about: 'a server that is mute for so long while requests are with it counts as gone; 0 = it may take its time',
    },
    reconnect: {
      unit: 'ms',
      default: '30s',
      minimum: 0,
      about: 'so long requests wait for a server that is gone; it is looked for after that too',
    },
    retryWrites: {
      type: 'boolean',
      default: false,
      about: 'send changes again whose outcome is unknown, instead of answering them with an error',
    },
    unflushed: {
      enum: ['trust', 'fail'],
      default: 'trust',
      about:
        'writes that were answered and not flushed when the server went: trust that it has them, or fail every flush',
    },
    readonly: { type: 'boolean', default: false, about: 'offer no change' },
  },
};
