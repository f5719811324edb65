import { ErrorCode, MarsError } from '@mars/brick-core';
import { whyNoIdentifier } from '@mars/mars-tree';
import type { LogLevel } from '@mars/platform';
import { MAX_SOCKET_PATH_BYTES } from './limits.js';

/** What the command line, the environment and `marsd.yaml` may say; each alone may be missing. */
export interface GivenSettings {
  mars?: string | undefined;
  run?: string | undefined;
  host?: string | undefined;
  ip?: string | undefined;
  port?: number | undefined;
  insecure?: boolean | undefined;
  mountpointCheck?: boolean | undefined;
  logLevel?: LogLevel | undefined;
  controlFiles?: 'auto' | 'fuse' | 'plain' | undefined;
  tunables?: Readonly<Record<string, number>> | undefined;
}

/** What the daemon of one host works with. Source: decided.md, *Paths and environment* */
export interface Settings {
  /** Absolute path of the tree. */
  readonly mars: string;
  /** Sockets, lock, log and control files. */
  readonly run: string;
  readonly host: string;
  /** Address to listen on; null = all. */
  readonly ip: string | null;
  /** Base port of the cluster; logs +1, sync +2. */
  readonly port: number;
  /** `insecure: true`: a tree without `.trust/` is served in plain text. */
  readonly insecure: boolean;
  readonly checkMountpoint: boolean;
  readonly logLevel: LogLevel;
  readonly controlFiles: 'auto' | 'fuse' | 'plain';
  /** Values of control files that hold from the start. */
  readonly tunables: Readonly<Record<string, number>>;
}

export const SYSTEM_TREE = '/mars';
export const DEFAULT_RUN = '/run/mars';
export const DEFAULT_PORT = 7777;
/** The highest base port: two more belong to it. */
const MAX_PORT = 65_533;

export type Environment = Readonly<Record<string, string | undefined>>;

/** Options win over the environment, the environment over `marsd.yaml`, that over defaults. @throws MarsError USAGE */
export function resolveSettings(
  options: GivenSettings,
  env: Environment,
  config: GivenSettings,
  nodeName: string,
): Settings {
  const given = [options, fromEnvironment(env), config];
  const first = <K extends keyof GivenSettings>(key: K): GivenSettings[K] =>
    given.find((one) => one[key] !== undefined)?.[key];
  const settings: Settings = {
    mars: absolute(first('mars') ?? SYSTEM_TREE, '--mars'),
    run: absolute(first('run') ?? DEFAULT_RUN, '--run'),
    host: hostName(first('host') ?? nodeName.split('.')[0]!),
    ip: first('ip') ?? null,
    port: portNumber(first('port') ?? DEFAULT_PORT),
    insecure: first('insecure') ?? false,
    checkMountpoint: first('mountpointCheck') ?? true,
    logLevel: first('logLevel') ?? 'info',
    controlFiles: first('controlFiles') ?? 'auto',
    tunables: config.tunables ?? {},
  };
  checkSocketPaths(settings.run);
  return settings;
}

function fromEnvironment(env: Environment): GivenSettings {
  const text = (name: string): string | undefined => (env[name] === '' ? undefined : env[name]);
  const flag = (name: string): boolean | undefined => (text(name) === undefined ? undefined : text(name) === '1');
  const noCheck = flag('MARS_NO_MOUNTPOINT_CHECK');
  const port = text('MARS_PORT');
  return {
    mars: text('MARS_DIR'),
    run: text('MARS_RUN'),
    host: text('MARS_HOST'),
    ip: text('MARS_IP'),
    port: port === undefined ? undefined : Number(port),
    insecure: flag('MARS_INSECURE'),
    mountpointCheck: noCheck === undefined ? undefined : !noCheck,
  };
}

function absolute(path: string, option: string): string {
  if (!path.startsWith('/') || path.split('/').includes('..')) {
    throw usage(`${option} is "${path}"`, 'Give an absolute path without "..".');
  }
  return path.replace(/\/+/g, '/').replace(/(.)\/$/, '$1');
}

function hostName(host: string): string {
  const wrong = whyNoIdentifier(host);
  if (wrong === null) return host;
  throw usage(`this host cannot be called "${host}": ${wrong}`, 'Give it another name with --host=NAME or MARS_HOST.');
}

function portNumber(port: number): number {
  if (Number.isInteger(port) && port >= 1 && port <= MAX_PORT) return port;
  throw usage(
    `the port is ${port}`,
    `A base port is a whole number from 1 to ${MAX_PORT}; the two above it belong to it.`,
  );
}

/** A socket that cannot be opened would show up much later, as something else. */
function checkSocketPaths(run: string): void {
  if (`${run}/nbd/`.length + 63 + '.sock'.length <= MAX_SOCKET_PATH_BYTES || run.length <= 40) return;
  throw usage(`the run directory ${run} is too long`, 'Sockets below it must fit 107 bytes: use a shorter --run=DIR.');
}

function usage(message: string, hint: string): MarsError {
  return new MarsError(ErrorCode.USAGE, message, { hint });
}
