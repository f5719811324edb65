import { ErrorCode, MarsError, type BrickRegistry, type Net, type NetStream } from '@mars/brick-core';
import { runDir } from '@mars/platform';
import { overlayOf, type StackHandle } from '@mars/stack';
import { errorData } from '../exit.js';
import { parseParams } from '../inputs.js';
import {
  LineReader,
  MAX_CLIENTS,
  encodeLine,
  type ControlCommand,
  type ControlMessage,
  type ControlRequest,
} from './protocol.js';

export interface ControlServer {
  readonly path: string;
  close(): Promise<void>;
}

/** Socket of a stack of that name. */
export function socketPath(stack: string, dir: string): string {
  return `${dir}/stack-${stack}.sock`;
}

/**
 * Serves the control socket of a running stack, for its owner only (mode 0600).
 * @param stop called when somebody asks the stack to end
 */
export async function listenForControl(
  { net }: { net: Net },
  stack: StackHandle,
  registry: BrickRegistry,
  stop: () => void,
): Promise<ControlServer> {
  const path = socketPath(stack.name, runDir());
  const clients = new Set<NetStream>();
  const listener = await net.listen({ path }, (stream) => {
    if (clients.size >= MAX_CLIENTS) return stream.destroy();
    clients.add(stream);
    new Session(stream, stack, registry, stop).start(() => clients.delete(stream));
  });
  return {
    path,
    close: async () => {
      for (const client of clients) client.end();
      await listener.close();
    },
  };
}

class Session {
  private unsubscribe: () => void = () => {};
  /** The client does not read: events are dropped rather than kept without bound; answers are few and always sent. */
  private isSlow = false;

  constructor(
    private readonly stream: NetStream,
    private readonly stack: StackHandle,
    private readonly registry: BrickRegistry,
    private readonly stop: () => void,
  ) {}

  start(onEnd: () => void): void {
    const reader = new LineReader((line) => void this.answer(line));
    this.stream.onData((bytes) => {
      if (!reader.push(bytes)) this.stream.destroy();
    });
    this.stream.onDrain(() => (this.isSlow = false));
    this.stream.onClose(() => {
      this.unsubscribe();
      onEnd();
    });
  }

  private async answer(line: string): Promise<void> {
    let id = 0;
    try {
      const request = parseRequest(line);
      id = request.id;
      this.send({ id, ok: true, result: (await this.perform(request)) ?? null });
      if (request.do === 'stop') this.stop();
    } catch (error) {
      this.send({ id, ok: false, error: errorData(error) });
    }
  }

  private async perform(command: ControlCommand): Promise<unknown> {
    const { stack } = this;
    switch (command.do) {
      case 'status':
        return stack.status();
      case 'statistics':
        return stack.statistics();
      case 'reset-statistics':
        return stack.resetStatistics();
      case 'insert':
        return this.insert(command);
      case 'remove':
        return stack.remove(command.name);
      case 'set':
        return this.set(command.brick, command.params);
      case 'override':
        return stack.override(command.brick, command.power);
      case 'facts':
        return stack.setFacts({ ...(await stack.status()).facts, ...command.facts });
      case 'watch':
        this.unsubscribe();
        this.unsubscribe = stack.subscribe((event) => {
          if (!this.isSlow) this.send({ event });
        });
        return stack.status();
      case 'stop':
        return undefined;
    }
  }

  private async insert({ wire, type, name, params }: ControlCommand & { do: 'insert' }): Promise<{ name: string }> {
    const { bricks } = await this.stack.status();
    const request = {
      wire,
      type,
      params: parseParams(params, this.registry.get(type).meta.params),
      ...(name === undefined ? {} : { name }),
    };
    const overlay = overlayOf(
      request,
      bricks.map((brick) => brick.base),
      this.registry,
    );
    await this.stack.insert(overlay);
    return { name: overlay.inserts[0]!.name };
  }

  private async set(brick: string, params: readonly string[]): Promise<void> {
    const found = (await this.stack.status()).bricks.find((one) => one.name === brick);
    if (found === undefined) return this.stack.setParam(brick, '', null);
    for (const [param, value] of Object.entries(parseParams(params, this.registry.get(found.type).meta.params))) {
      await this.stack.setParam(brick, param, value);
    }
  }

  private send(message: ControlMessage): void {
    if (!this.stream.write(encodeLine(message))) this.isSlow = true;
  }
}

const COMMANDS: readonly ControlCommand['do'][] = [
  ...(['status', 'statistics', 'reset-statistics', 'insert', 'remove'] as const),
  ...(['set', 'override', 'facts', 'watch', 'stop'] as const),
];

function parseRequest(line: string): ControlRequest {
  const refuse = (why: string): never => {
    throw new MarsError(ErrorCode.CONTROL_REFUSED, `this is no request: ${why}`, {
      hint: 'The protocol is in docs/stacks.md.',
    });
  };
  let request: Partial<ControlRequest>;
  try {
    request = JSON.parse(line) as Partial<ControlRequest>;
  } catch {
    return refuse('it is not JSON');
  }
  if (typeof request !== 'object' || request === null || typeof request.id !== 'number')
    return refuse('it has no "id"');
  if (!COMMANDS.includes(request.do!)) return refuse(`nothing is called ${JSON.stringify(request.do ?? null)}`);
  const isFine = fieldsOf(request as ControlRequest).every(([value, isRight]) => isRight(value));
  return isFine ? (request as ControlRequest) : refuse('a field is missing or of the wrong type');
}

type Check = [unknown, (value: unknown) => boolean];

/** The fields that a command needs, with what they must be. */
function fieldsOf(request: ControlRequest): Check[] {
  const text = (value: unknown): boolean => typeof value === 'string';
  const texts = (value: unknown): boolean => Array.isArray(value) && value.every(text);
  switch (request.do) {
    case 'insert':
      return [
        [request.wire, text],
        [request.type, text],
        [request.params, texts],
        [request.name ?? '', text],
      ];
    case 'remove':
      return [[request.name, text]];
    case 'set':
      return [
        [request.brick, text],
        [request.params, texts],
      ];
    case 'override':
      return [
        [request.brick, text],
        [request.power, (value) => ['on', 'off', 'auto'].includes(value as string)],
      ];
    case 'facts':
      return [[request.facts, (value) => typeof value === 'object' && value !== null]];
    default:
      return [];
  }
}
