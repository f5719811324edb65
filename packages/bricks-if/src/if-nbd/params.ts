import type { ParamsSchema } from '@mars/brick-core';
import {
  DEFAULT_DEPTH,
  HANDSHAKE_TIME,
  MAX_CONNECTIONS,
  MAX_DEPTH,
  MAX_DESCRIPTION,
  MAX_PARAM_NAME,
} from '../limits.js';

export interface IfNbdParams {
  listen: string[];
  /** Octal. */
  mode: string;
  name: string;
  description: string;
  readOnly: boolean;
  depth: number;
  maxConnections: number;
  handshakeTime: number;
  tls: 'off' | 'allow' | 'require';
  tlsCert?: string;
  tlsKey?: string;
  tlsCa?: string;
  tlsVerifyPeer: boolean;
}

export const ifNbdParams: ParamsSchema = {
  required: ['listen'],
  properties: {
    listen: {
      type: 'array',
      items: { type: 'string', minLength: 1 },
      minItems: 1,
      about: 'socket paths (/run/mars/nbd/x.sock) and numeric addresses (127.0.0.1:10809, [::1]:10809, *:10809)',
    },
    mode: {
      type: 'string',
      pattern: '^0?[0-7]{3}$',
      default: '0600',
      about: 'who may connect to a socket path, octal and quoted: "0660" lets the group in',
    },
    name: {
      type: 'string',
      default: '',
      maxLength: MAX_PARAM_NAME,
      about: 'export name; the only export of an address is also found under the empty name',
    },
    description: { type: 'string', default: '', maxLength: MAX_DESCRIPTION, about: 'for people who list the exports' },
    readOnly: { type: 'boolean', default: false, about: 'refuse everything that changes data' },
    depth: {
      type: 'integer',
      default: DEFAULT_DEPTH,
      minimum: 1,
      maximum: MAX_DEPTH,
      about: 'requests of one client under way at the same time; more wait in its socket',
    },
    maxConnections: {
      type: 'integer',
      default: MAX_CONNECTIONS,
      minimum: 1,
      maximum: 65536,
      about: 'clients of one address, those in the handshake included; more are turned away',
    },
    handshakeTime: {
      unit: 'ms',
      default: HANDSHAKE_TIME,
      exclusiveMinimum: 0,
      about: 'a client that has not chosen an export by then is turned away',
    },
    tls: {
      enum: ['off', 'allow', 'require'],
      default: 'off',
      about: 'TLS by STARTTLS; require: nothing is told in the clear',
    },
    tlsCert: { type: 'string', minLength: 1, about: 'PEM file: certificate of this server, with its chain' },
    tlsKey: { type: 'string', minLength: 1, about: 'PEM file: its private key' },
    tlsCa: { type: 'string', minLength: 1, about: 'PEM file: authorities that sign clients' },
    tlsVerifyPeer: {
      type: 'boolean',
      default: false,
      about: 'only clients with a certificate signed by tlsCa come in',
    },
  },
};
