import type { SimHost } from '../world/host.js';
import type { LoggerPlaces } from './disk-watch.js';
import type { JudgedClient } from './if-judged.js';

/** What a story wants of the logger and of its client. */
export interface LoggerSettings {
  places: LoggerPlaces;
  deviceBytes: number;
  /** Parameters of `trans-logger`. */
  logger: Record<string, unknown>;
  /** Parameters of `if-judged`. */
  client: Record<string, unknown>;
  /** Bytes of a logfile at which the keeper rotates by itself; 0 = never. */
  rotateBytes: number;
  /** Logs and devices may fail in this story. */
  mayFail: boolean;
}

/** A logged device that is up, with its client on top. */
export interface RunningLogger {
  /** Of the client: `phase`, `finished`. */
  clientFact(name: string): unknown;
  /** Of the logger: `replay`, `log`, `memory`, `state`. */
  loggerFact(name: string): unknown;
  setLoggerParam(name: string, value: unknown): void;
  /** Makes the next logfile appear; the rotation itself goes on under load. */
  rotate(): Promise<void>;
  /** Everything is written back and published, and all is off. */
  stop(): Promise<void>;
}

/**
 * Recovers what is on the disk of a host, and brings the device up. Runs as code of the host: it may die at any moment.
 * Rejects when the state of the logs needs a person.
 */
export type Keeper = (host: SimHost, settings: LoggerSettings, client: JudgedClient) => Promise<RunningLogger>;
