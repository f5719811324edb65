import { BRICKS, registerBricks, silentLogger } from '@mars/brick-core';
import { LogKeeper, composeHost } from '@mars/marsd';
import { IfJudgedBrick, JUDGED_CLIENT, type Keeper, type LoggerSettings, type RunningLogger } from '@mars/sim';
import { loadStack, openStack, type LoadedStack, type StackHandle, type VarValues } from '@mars/stack';

/** The stack of `stacks/primary-local.yaml`, with the judged client in place of the NBD server. */
const STACK = `
mars: 1
stack: primary-sim
vars:
  logs: { type: log-directory }
bricks:
  disk: { type: aio, params: { path: DISK, grow: false } }
  log: { type: aio, each: "\${logs}", params: { path: "\${item.path}" } }
  logger:
    type: trans-logger
    in: { data: disk, log: log }
    params: LOGGER
    on: logs.mode == 'replay' || logs.mode == 'logging'
  client:
    type: if-judged
    in: { next: logger }
    params: CLIENT
    on: logs.mode == 'logging'
`;

/** The strategy as it is delivered: \`LogKeeper\` over a stack file. */
export const logKeeper: Keeper = async (host, settings, client) => {
  const { container, loop, files } = host;
  composeHost(container, host);
  registerBricks(container, [IfJudgedBrick], '@mars/sim');
  container.register(JUDGED_CLIENT, { useValue: client });
  const registry = container.resolve(BRICKS);
  const reload = (vars: VarValues): LoadedStack =>
    loadStack(stackText(settings), { registry, vars: { logs: { path: settings.places.logs }, ...vars } });
  const stack = openStack({ ...reload({}), loop, host: container, registry });
  stack.subscribe((event) => {
    if (event.kind === 'threw')
      host.world.after(0, () => host.world.fail(new Error(`brick ${event.brick} on ${host.name}: ${event.message}`)));
  });
  const keeper = new LogKeeper({
    ...{ files, clock: loop, log: silentLogger, stack, name: 'logs' },
    ...{ dir: settings.places.logs, host: settings.places.host, rotateBytes: settings.rotateBytes },
    planOf: (logs) => reload({ logs: logs }).plan,
  });
  const facts = new Map<string, unknown>();
  stack.subscribe((event) => void (event.kind === 'fact' && facts.set(`${event.brick}.${event.name}`, event.value)));
  await keeper.start();
  return new Kept(keeper, stack, facts);
};

class Kept implements RunningLogger {
  constructor(
    private readonly keeper: LogKeeper,
    private readonly stack: StackHandle,
    private readonly facts: ReadonlyMap<string, unknown>,
  ) {}

  clientFact(name: string): unknown {
    return this.facts.get(`client.${name}`);
  }

  loggerFact(name: string): unknown {
    return this.facts.get(`logger.${name}`);
  }

  setLoggerParam(name: string, value: unknown): void {
    void this.stack.setParam('logger', name, value);
  }

  async rotate(): Promise<void> {
    if (this.keeper.state === 'logging') await this.keeper.rotate();
  }

  async stop(): Promise<void> {
    await this.keeper.close(() => this.stack.close());
  }
}

function stackText({ places, logger, client }: LoggerSettings): string {
  const orders = { mode: '${logs.mode}', 'replay-start': '${logs.start}', 'replay-end': '${logs.end}' };
  return STACK.replace('DISK', JSON.stringify(places.data))
    .replace('LOGGER', () => JSON.stringify({ ...logger, ...orders }))
    .replace('CLIENT', () => JSON.stringify(client));
}
