import { SEQ } from './keys/numbers.js';

/** Paths below `/mars`, built from their parts; the patterns are in `keys.ts`, and a test compares the two. */
export const paths = {
  uuid: 'uuid',
  ip: (host: string) => `ips/ip-${host}`,
  node: (host: string, name: string) => `actual-${host}/${name}`,
  setting: (name: string) => `defaults/${name}`,
  hostSetting: (host: string, name: string) => `defaults-${host}/${name}`,
  cacheInvalid: (host: string) => `cache-${host}/invalid`,
  resource: (resource: string) => `resource-${resource}`,
  size: (resource: string) => `resource-${resource}/size`,
  primary: (resource: string) => `resource-${resource}/primary`,
  data: (resource: string, host: string) => `resource-${resource}/data-${host}`,
  device: (resource: string, host: string) => `resource-${resource}/device-${host}`,
  maxnr: (resource: string) => `resource-${resource}/maxnr`,
  skipCheck: (resource: string, host: string) => `resource-${resource}/skip-check-${host}`,
  todo: (resource: string, host: string, name: string) => `resource-${resource}/todo-${host}/${name}`,
  actual: (resource: string, host: string, name: string) => `resource-${resource}/actual-${host}/${name}`,
  replay: (resource: string, host: string) => `resource-${resource}/replay-${host}`,
  version: (resource: string, sequence: number, host: string) =>
    `resource-${resource}/version-${SEQ.format(sequence)}-${host}`,
  log: (resource: string, sequence: number, host: string) => `resource-${resource}/log-${SEQ.format(sequence)}-${host}`,
  syncStatus: (resource: string, host: string) => `resource-${resource}/syncstatus-${host}`,
  syncPos: (resource: string, host: string) => `resource-${resource}/syncpos-${host}`,
} as const;
