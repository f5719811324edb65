import { ErrorCode, MarsError, didYouMean } from '@mars/brick-core';
import { RealFiles, RealNet, onSignal, runDir } from '@mars/platform';
import type { StackEvent, StackStatus } from '@mars/stack';
import { ControlClient, findSockets } from './control/client.js';
import type { ControlCommand } from './control/protocol.js';
import { socketPath } from './control/server.js';
import { EXIT_GOOD, type ExitCode } from './exit.js';
import { parseFacts } from './inputs.js';
import { formatCount, formatUs } from './numbers.js';
import { wantsColour } from './screen.js';
import { LEDS, statusText } from './status-text.js';

export interface CtlOptions {
  /** `[SOCKET] COMMAND [ARGUMENT …]` */
  words: string[];
  stack?: string | undefined;
  name?: string | undefined;
  json: boolean;
}

interface Verb {
  usage: string;
  /** How many arguments it takes: at least, at most. */
  words: [number, number];
  command: (args: string[], options: CtlOptions) => ControlCommand;
}

/** Every command of `mars-stack ctl`. */
const VERBS: Readonly<Record<string, Verb>> = {
  status: { usage: 'status', words: [0, 0], command: () => ({ do: 'status' }) },
  stats: { usage: 'stats', words: [0, 0], command: () => ({ do: 'statistics' }) },
  'reset-stats': { usage: 'reset-stats', words: [0, 0], command: () => ({ do: 'reset-statistics' }) },
  insert: {
    usage: 'insert WIRE TYPE [PARAM=VALUE …] [--name NAME]',
    words: [2, Infinity],
    command: ([wire, type, ...params], { name }) => ({
      do: 'insert',
      wire: wire!,
      type: type!,
      params,
      ...(name === undefined ? {} : { name }),
    }),
  },
  remove: { usage: 'remove NAME', words: [1, 1], command: ([name]) => ({ do: 'remove', name: name! }) },
  set: {
    usage: 'set BRICK PARAM=VALUE …',
    words: [2, Infinity],
    command: ([brick, ...params]) => ({ do: 'set', brick: brick!, params }),
  },
  press: {
    usage: 'press BRICK',
    words: [1, 1],
    command: ([brick]) => ({ do: 'override', brick: brick!, power: 'on' }),
  },
  release: {
    usage: 'release BRICK',
    words: [1, 1],
    command: ([brick]) => ({ do: 'override', brick: brick!, power: 'off' }),
  },
  auto: {
    usage: 'auto BRICK',
    words: [1, 1],
    command: ([brick]) => ({ do: 'override', brick: brick!, power: 'auto' }),
  },
  fact: {
    usage: 'fact NAME=VALUE …',
    words: [1, Infinity],
    command: (facts) => ({ do: 'facts', facts: parseFacts(facts) }),
  },
  watch: { usage: 'watch', words: [0, 0], command: () => ({ do: 'watch' }) },
  stop: { usage: 'stop', words: [0, 0], command: () => ({ do: 'stop' }) },
};

export const CTL_VERBS = Object.values(VERBS).map(({ usage }) => usage);

/** `mars-stack ctl`: talks to a running stack. */
export async function ctl(options: CtlOptions): Promise<ExitCode> {
  const { socket, verb, args } = parseWords(options);
  const command = VERBS[verb]!.command(args, options);
  const net = new RealNet();
  try {
    const client = await ControlClient.connect(net, socket ?? findSocket(options));
    if (command.do === 'watch') await watch(client, options.json);
    else show(command, await client.ask(command), options.json);
    client.close();
    return EXIT_GOOD;
  } finally {
    net.shutDown();
  }
}

function parseWords({ words }: CtlOptions): { socket: string | undefined; verb: string; args: string[] } {
  const hasSocket = words.length > 0 && words[0]!.includes('/');
  const [verb, ...args] = hasSocket ? words.slice(1) : words;
  const found = verb === undefined ? undefined : VERBS[verb];
  if (found === undefined) {
    throw new MarsError(
      ErrorCode.USAGE,
      verb === undefined ? 'what shall the stack do?' : `ctl has no command "${verb}"`,
      { hint: didYouMean(verb ?? 'status', Object.keys(VERBS)) },
    );
  }
  if (args.length < found.words[0] || args.length > found.words[1]) {
    throw new MarsError(ErrorCode.USAGE, `"${verb}" does not take ${args.length} arguments`, {
      hint: `Write "mars-stack ctl ${found.usage}".`,
    });
  }
  return { socket: hasSocket ? words[0] : undefined, verb: verb!, args };
}

/** The socket of the named stack, or of the only one that runs. */
function findSocket({ stack }: CtlOptions): string {
  const dir = runDir();
  if (stack !== undefined) return socketPath(stack, dir);
  const found = findSockets(new RealFiles(), dir);
  if (found.length === 1) return found[0]!;
  if (found.length === 0) {
    throw new MarsError(ErrorCode.CONTROL_UNREACHABLE, `no stack runs here (nothing in ${dir})`, {
      hint: 'Start one with "mars-stack run FILE"; MARS_RUN says where its socket is.',
    });
  }
  throw new MarsError(ErrorCode.USAGE, `${found.length} stacks run here`, {
    hint: `Say which: --stack ${found.map(nameOfSocket).join(' | ')}.`,
  });
}

function nameOfSocket(path: string): string {
  return path.replace(/^.*\/stack-/, '').replace(/\.sock$/, '');
}

async function watch(client: ControlClient, json: boolean): Promise<void> {
  const stopped = new Promise<void>((resolve) => onSignal(['SIGINT', 'SIGTERM'], () => resolve()));
  client.listen((event) => print(json ? JSON.stringify(event) : eventText(event)));
  const status = await client.ask({ do: 'watch' });
  if (!json) print(statusText(status as StackStatus, wantsColour(process.stdout)));
  await Promise.race([stopped, client.closed]);
}

function show(command: ControlCommand, result: unknown, json: boolean): void {
  if (json) print(JSON.stringify({ ok: true, result }));
  else if (command.do === 'status') print(statusText(result as StackStatus, wantsColour(process.stdout)));
  else if (command.do === 'statistics') print(statisticsText(result as Parameters<typeof statisticsText>[0]));
  else if (command.do === 'insert') print(`inserted "${(result as { name: string }).name}"`);
  else print('done');
}

function statisticsText(
  statistics: Readonly<
    Record<
      string,
      {
        counters: Record<string, number>;
        histograms: Record<string, { count: number; p50Us: number; p99Us: number; maxUs: number }>;
        facts: Record<string, unknown>;
      }
    >
  >,
): string {
  const lines = Object.entries(statistics).flatMap(([name, { counters, histograms, facts }]) => [
    name,
    ...Object.entries(facts).map(([fact, value]) => `  ${fact} = ${String(value)}`),
    ...Object.entries(counters).map(([counter, n]) => `  ${counter} ${formatCount(n)}`),
    ...Object.entries(histograms)
      .filter(([, h]) => h.count > 0)
      .map(
        ([h, { count, p50Us, p99Us, maxUs }]) =>
          `  ${h} ${formatCount(count)}: p50 ${formatUs(p50Us)}, p99 ${formatUs(p99Us)}, longest ${formatUs(maxUs)}`,
      ),
  ]);
  return lines.join('\n');
}

function eventText(event: StackEvent): string {
  switch (event.kind) {
    case 'led':
      return `${LEDS[event.led]} ${event.brick}`;
    case 'fact':
      return `${event.brick}.${event.name} = ${String(event.value)}`;
    case 'threw':
      return `✖ ${event.brick} threw: ${event.message}`;
    case 'step':
      return event.failure === null ? event.text : `✖ ${event.text}: ${event.failure.message}`;
    case 'settled':
      return event.problems.length === 0
        ? 'settled'
        : `settled, but not all is well: ${[...new Set(event.problems)].join(', ')}`;
    case 'closed':
      return 'closed';
    case 'died':
      return `✖ ${event.failure.message}`;
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
