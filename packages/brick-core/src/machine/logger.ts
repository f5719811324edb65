import type { InjectionToken } from '../di.js';

/** The part of pino that we use: constant message, facts as fields with units in the keys (style.md 10). */
export interface Logger {
  error(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  info(fields: object, message: string): void;
  debug(fields: object, message: string): void;
  child(fields: object): Logger;
}

export const LOGGER: InjectionToken<Logger> = Symbol('brick-core/Logger');

/** Drops everything; the logger of tests and simulations that do not ask for one. */
export const silentLogger: Logger = {
  error: () => {},
  warn: () => {},
  info: () => {},
  debug: () => {},
  child: () => silentLogger,
};
