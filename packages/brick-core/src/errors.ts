/**
 * The error table of the project: one row per thing that can go wrong in the world outside.
 *
 * Match on `code`; texts may improve. `number` is what travels on the wire and in published facts; it never changes
 * and is never re-used. A test walks this table against `docs/errors.md`. Source: style.md 6; models.md 4.7.
 */
export const ERROR_TABLE = {
  // 1xx: configuration, found before anything starts
  BAD_PARAMETER: { number: 101, text: 'a parameter is unknown, missing or has a wrong value' },
  UNKNOWN_BRICK_TYPE: { number: 102, text: 'no brick type of that name is registered' },
  DUPLICATE_BRICK_TYPE: { number: 103, text: 'two packages define the same brick type' },
  BAD_STACK_FILE: { number: 104, text: 'a stack file is not valid' },
  MISSING_WIRE: { number: 105, text: 'an input that must have a provider has none' },
  WIRE_CYCLE: { number: 106, text: 'the wires form a cycle' },
  BAD_WIRE: { number: 107, text: 'a wire names a brick, port or slot that does not exist' },
  PERMISSION_CONFLICT: { number: 108, text: 'two consumers of one provider exclude each other' },
  CAPABILITY_GAP: { number: 109, text: 'a provider offers less than its consumer needs, and no adaptor helps' },
  BAD_VARIABLE: { number: 110, text: 'a variable of a stack is unknown, missing or of the wrong type' },
  BAD_EXPRESSION: { number: 111, text: 'a condition cannot be understood' },
  BAD_OVERLAY: { number: 112, text: 'an overlay does not fit the stack it is for' },
  STACK_TOO_DEEP: { number: 113, text: 'more bricks lie above each other than a request can pass' },
  BAD_BRICK_CLASS: { number: 114, text: 'a class is not a usable brick' },
  BAD_ARENA: { number: 115, text: 'the payload memory cannot have that size' },

  // 2xx: plugins
  PLUGIN_NOT_ALLOWED: { number: 201, text: 'a plugin is installed, but the allow list does not name it' },
  PLUGIN_BAD_MANIFEST: { number: 202, text: 'the manifest of a plugin is missing or wrong' },
  PLUGIN_API_VERSION: { number: 203, text: 'a plugin is made for another version of the brick API' },
  PLUGIN_LOAD_FAILED: { number: 204, text: 'a plugin could not be loaded' },
  DUPLICATE_CORE: { number: 205, text: 'a second copy of @mars/brick-core is loaded' },

  // 3xx: running bricks
  POWER_PROVIDER_OFF: { number: 301, text: 'a brick cannot be switched on while a provider is off' },
  POWER_CONSUMER_ON: { number: 302, text: 'a brick cannot be switched off while a consumer is on' },
  POWER_FORCED_OFF: { number: 303, text: 'a brick was switched off for good' },
  START_FAILED: { number: 304, text: 'a brick could not start' },
  STOP_FAILED: { number: 305, text: 'a brick could not stop cleanly' },
  BRICK_THREW: { number: 306, text: 'a brick threw an error on the data path' },
  BRICK_BUSY: { number: 307, text: 'a brick is in use' },
  NO_SUCH_BRICK: { number: 308, text: 'no brick of that name runs here' },
  DRAIN_STUCK: { number: 309, text: 'requests under way do not come back' },
  LIVE_PARAMETER: { number: 310, text: 'a parameter cannot be changed while the brick runs' },
  LIMIT_REACHED: { number: 311, text: 'a named limit is reached' },
  VERIFY_FAILED: { number: 312, text: 'data that was read differs from what was written' },
  DATA_THREAD_DIED: { number: 313, text: 'the thread in which a stack runs died' },

  // 4xx: the machine
  FILE_OPEN: { number: 401, text: 'a file or device cannot be opened' },
  FILE_IO: { number: 402, text: 'reading or writing a file failed' },
  NOT_A_BLOCK_DEVICE: { number: 403, text: 'a path is not a block device' },
  DEVICE_IN_USE: { number: 404, text: 'a device is in use by somebody else' },
  NO_IO_URING: { number: 405, text: 'io_uring is not available' },
  NATIVE_MISSING: { number: 406, text: 'the native addon is not available' },
  SOCKET: { number: 407, text: 'a socket operation failed' },
  SIZE_MISMATCH: { number: 408, text: 'a size does not fit' },

  // 5xx: simulation
  SIM_STUCK: { number: 501, text: 'the simulated world stands still although work is left' },
  SIM_MISMATCH: { number: 502, text: 'the same seed gave two different runs' },
  SIM_UNKNOWN_SCENARIO: { number: 503, text: 'no scenario of that name exists' },

  // 6xx: command line
  USAGE: { number: 601, text: 'the command line is not right' },
  CONTROL_UNREACHABLE: { number: 602, text: 'no running stack answers at the control socket' },
  CONTROL_REFUSED: { number: 603, text: 'a running stack refused a command' },
  DAEMON_RUNS: { number: 604, text: 'another daemon holds the directories of this host' },
  DAEMON_CANNOT_START: { number: 605, text: 'the daemon cannot run here' },
  DAEMON_MUTE: { number: 606, text: 'the daemon does not answer' },
  BAD_CONTROL: { number: 607, text: 'a control file does not take this value' },

  // 7xx: the tree of facts
  BAD_FACT: { number: 701, text: 'a value does not follow the grammar of its key' },
  BAD_KEY: { number: 702, text: 'a path cannot be a key of the tree' },

  // 8xx: between hosts
  WIRE_PROTOCOL: { number: 801, text: 'the other host does not follow the protocol' },
  WIRE_VERSION: { number: 802, text: 'the other host speaks another version of the protocol' },
  WIRE_LIMIT: { number: 803, text: 'a message or queue between hosts is too large' },
  WIRE_SILENT: { number: 804, text: 'the other host does not answer any more' },
  TLS_REFUSED: { number: 805, text: 'the certificates of two hosts do not fit together' },
  PEER_REFUSED: { number: 806, text: 'a host is not let in' },
  TRUST_STATE: { number: 807, text: 'the trust files of this host are missing or damaged' },
  BAD_TOKEN: { number: 808, text: 'a join token cannot be read' },
  JOIN_REFUSED: { number: 809, text: 'the inviting host refused the join token' },

  // 9xx: local logs
  LOGS_NOT_USABLE: { number: 901, text: 'the logfiles here need a person to look at them' },
  REPLAY_FAILED: { number: 902, text: 'a log could not be replayed to its end' },
} as const satisfies Record<string, { number: number; text: string }>;

export type ErrorCodeName = keyof typeof ERROR_TABLE;

/** `ErrorCode.BAD_PARAMETER === 'BAD_PARAMETER'`: a typo is a compile error. */
export const ErrorCode = Object.fromEntries(Object.keys(ERROR_TABLE).map((code) => [code, code])) as {
  readonly [K in ErrorCodeName]: K;
};

/** Where something is wrong: a place in a file that a person wrote. Lines and columns count from 1. */
export interface SourcePlace {
  file: string;
  line: number;
  column: number;
}

export interface MarsErrorOptions {
  /** What to do, in one or two sentences; the reader is in a hurry. */
  hint?: string;
  cause?: unknown;
  /** Facts, with units in the names. Plain data only. */
  details?: Readonly<Record<string, unknown>>;
  place?: SourcePlace;
}

/** Something in the world is not as it should be, and somebody can do something about it. */
export class MarsError extends Error {
  override readonly name = 'MarsError';
  readonly number: number;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;
  readonly place: SourcePlace | undefined;

  constructor(
    readonly code: ErrorCodeName,
    message: string,
    options: MarsErrorOptions = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.number = ERROR_TABLE[code].number;
    this.hint = options.hint;
    this.details = options.details ?? {};
    this.place = options.place;
  }

  /** Page of the manual that explains this code. */
  get page(): string {
    return `docs/errors.md#${this.code.toLowerCase()}`;
  }

  /** Plain data for `--json`, control sockets and the wire. */
  toJSON(): object {
    return {
      code: this.code,
      number: this.number,
      message: this.message,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      ...(this.place === undefined ? {} : { place: this.place }),
      ...(Object.keys(this.details).length === 0 ? {} : { details: this.details }),
      ...(this.cause === undefined ? {} : { cause: causeText(this.cause) }),
      page: this.page,
    };
  }
}

/** The text of anything that was thrown. */
export function causeText(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** True for our errors, also across two copies of this package (where `instanceof` lies). */
export function isMarsError(error: unknown): error is MarsError {
  return error instanceof Error && error.name === 'MarsError' && 'code' in error && 'hint' in error;
}

/**
 * What a person sees on a terminal, one screen at most:
 * ```
 * stacks/x.yaml:7:11: BAD_PARAMETER: delay has no parameter "wirte"
 *   what to do: Did you mean "write"?
 *   more: docs/errors.md#bad_parameter
 * ```
 */
export function formatError(error: unknown): string {
  if (!isMarsError(error))
    return `unexpected error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
  const place = error.place ? `${error.place.file}:${error.place.line}:${error.place.column}: ` : '';
  const lines = [`${place}${error.code}: ${error.message}`];
  for (let cause = error.cause; cause !== undefined; cause = cause instanceof Error ? cause.cause : undefined) {
    lines.push(`  because: ${causeText(cause)}`);
  }
  if (error.hint) lines.push(`  what to do: ${error.hint}`);
  lines.push(`  more: ${error.page}`);
  return lines.join('\n');
}
