import type { Logger } from '@mars/brick-core';
import { pino, type LoggerOptions as PinoOptions } from 'pino';
import { LogSink } from './log-sink.js';
import { RepeatFilter } from './log-repeats.js';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug' | 'silent';

export interface LoggerOptions {
  level?: LogLevel;
  /** `'stderr'` (default), a path, or anything with `write` (tests). */
  destination?: 'stderr' | { path: string; maxBytes?: number; keep?: number } | { write(line: string): void };
  /** Facts that every line carries, e.g. `{ host }`. */
  fields?: object;
  /** Gets every line as well. */
  also?: { write(line: string): void };
}

/** A log file is renamed when it reaches this size, bytes. */
export const DEFAULT_LOG_BYTES = 16 * 1024 * 1024;
/** Renamed log files that are kept. */
export const DEFAULT_LOG_KEEP = 3;

/** The logger of a process: pino, bounded on disk, and quiet about repeats. */
export interface ClosableLogger extends Logger {
  close(): void;
}

/**
 * Lines are written synchronously: the last line before a crash is the one that matters. A full disk loses lines, never
 * the process; the next line that gets through says how many were lost.
 */
export function createLogger(options: LoggerOptions = {}): ClosableLogger {
  const sink = withCopy(openSink(options.destination ?? 'stderr'), options.also);
  const repeats = new RepeatFilter();
  const settings: PinoOptions = {
    level: options.level ?? 'info',
    base: { pid: process.pid, ...options.fields },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: pino.stdSerializers.errWithCause },
    hooks: {
      logMethod(args, method, level) {
        const message = args[1] as unknown as string;
        const dropped = repeats.admit(`${level} ${message}`, performance.now());
        if (dropped < 0) return;
        const [fields] = args as unknown as [object];
        method.call(this, dropped > 0 ? { ...fields, repeatsDropped: dropped } : fields, message);
      },
    },
  };
  const log = pino(settings, sink) as unknown as Logger;
  return Object.assign(log, { close: () => sink.close() });
}

interface Sink {
  write(line: string): void;
  close(): void;
}

function withCopy(sink: Sink, also: LoggerOptions['also']): Sink {
  if (also === undefined) return sink;
  const write = (line: string): void => {
    sink.write(line);
    also.write(line);
  };
  return { write, close: () => sink.close() };
}

function openSink(destination: NonNullable<LoggerOptions['destination']>): Sink {
  if (destination === 'stderr') return new LogSink({ fd: 2 });
  if ('write' in destination) return { write: (line) => destination.write(line), close: () => {} };
  const { path, maxBytes = DEFAULT_LOG_BYTES, keep = DEFAULT_LOG_KEEP } = destination;
  return new LogSink({ path, maxBytes, keep });
}
