import type { ParamsSchema } from '@mars/brick-core';
import { MAX_CLIENT_CONNECTIONS, MAX_EXPORT_NAME_BYTES } from './limits.js';

export interface NbdClientParams {
  uri: string;
  export?: string;
  connections: number;
  tls: 'off' | 'require';
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
    tls: { enum: ['off', 'require'], default: 'off', about: 'TLS to the server' },
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
