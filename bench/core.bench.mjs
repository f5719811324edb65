// What a request costs inside our own house: RAM below, filters above, no kernel. Source of the budget: bricks.md 5.5.
import { PerformanceObserver, performance } from 'node:perf_hooks';
import * as core from '@mars/brick-core';
import { ImmediateDriver } from '@mars/platform';
import { measure, writeResults } from './frame.mjs';

const DEPTH = 64;
const REQUESTS = 1_000_000;
const BLOCK = 4096;
const SIZE = 2 ** 24;

/** Answers at once and touches no payload: what is left is the house. */
class Sink extends core.BrickBase {
  info(into) {
    into.size = SIZE;
    into.caps = core.CAP_WRITE | core.CAP_FLUSH | core.CAP_WHOLE;
    return 0;
  }
  io(o) {
    this.ctx.loop.finish(o, 0);
  }
}
core.Brick({ type: 'bench-sink' })(Sink);

/** A closed loop of reads at a fixed depth. */
class Spinner extends core.BrickBase {
  complete(o) {
    this.answered++;
    if (this.left > 0) this.send(o);
    else {
      this.ctx.pool.free(o);
      if (this.objects === 0) this.finished();
    }
  }
  send(o) {
    o.pos = (this.left-- * BLOCK) % SIZE;
    this.wire.io(o);
  }
  spin(requests) {
    this.wire = this.input('next');
    this.left = requests;
    this.answered = 0;
    return new Promise((resolve) => {
      this.finished = resolve;
      for (let i = 0; i < DEPTH; i++) {
        const o = this.ctx.pool.take(this, BLOCK);
        o.len = BLOCK;
        o.push(this);
        this.send(o);
      }
    });
  }
}
core.Brick({ type: 'bench-spinner', inputs: { next: {} } })(Spinner);

/** Nine observers, each from a module of its own, as from nine authors: the compiler cannot treat them as one class. */
async function observers() {
  const source = (n) => `export default ({ FilterBrick }) => {
    class Stamp { t0 = 0.5; }
    return class Observer${n} extends FilterBrick {
      attached() { this.latency = this.ctx.histogram('us'); }
      io(o) { (o.aspects[this.ctx.slot] ??= new Stamp()).t0 = this.ctx.loop.nowUs; o.push(this); this.next.io(o); }
      complete(o) { this.latency.add(this.ctx.loop.nowUs - o.aspects[this.ctx.slot].t0); o.done(o.err); }
    };
  };`;
  const classes = [];
  for (let n = 1; n <= 9; n++) {
    const { default: make } = await import(`data:text/javascript,${encodeURIComponent(source(n))}`);
    const cls = make(core);
    core.Brick({ type: `bench-observer${n}`, inputs: { next: {} }, ops: 'all' })(cls);
    classes.push(cls);
  }
  return classes;
}

async function build(filters, classes) {
  const loop = new core.Loop(new ImmediateDriver(), new core.Arena(new ArrayBuffer(2 ** 25)), 256);
  const host = core.composeServices(core.container.createChildContainer(), { loop, random: core.createRandom(1) });
  core.registerBricks(host, [Sink, Spinner, ...classes], 'bench');
  const graph = new core.Graph({ name: 'bench', loop, host, registry: host.resolve(core.BRICKS) });
  graph.add('sink', 'bench-sink');
  let below = 'sink';
  for (let n = 1; n <= filters; n++) {
    graph.add(`f${n}`, `bench-observer${n}`);
    graph.connect({ consumer: `f${n}`, input: 'next', nr: 0 }, below);
    below = `f${n}`;
  }
  graph.add('spinner', 'bench-spinner');
  graph.connect({ consumer: 'spinner', input: 'next', nr: 0 }, below);
  for (const brick of graph.providersFirst()) await graph.press(brick.name);
  const spinner = graph.get('spinner');
  await spinner.spin(REQUESTS / 2);
  return spinner;
}

/** The peer: the same nine observers as async functions, one promise per hop, `DEPTH` at a time. */
function promiseChain(filters) {
  let next = async () => 0;
  for (let n = 0; n < filters; n++) {
    const below = next;
    const histogram = new core.Histogram();
    next = async (request) => {
      const t0 = performance.now();
      const err = await below(request);
      histogram.add((performance.now() - t0) * 1000);
      return err;
    };
  }
  const worker = async (requests) => {
    for (let i = 0; i < requests; i++) await next({ op: 0, pos: i * BLOCK, len: BLOCK });
  };
  return (requests) => Promise.all(Array.from({ length: DEPTH }, () => worker(requests / DEPTH)));
}

async function nsPerRequest(job, requests) {
  const started = performance.now();
  await job(requests);
  return ((performance.now() - started) * 1e6) / requests;
}

/** Garbage collections per million requests. */
async function collections(job, requests) {
  let count = 0;
  const observer = new PerformanceObserver((list) => (count += list.getEntries().length));
  observer.observe({ entryTypes: ['gc'] });
  await job(requests);
  await new Promise((resolve) => setTimeout(resolve, 20));
  observer.disconnect();
  return (count * 1e6) / requests;
}

export default async function bench() {
  const classes = await observers();
  const rows = [];
  for (const filters of [0, 3, 9]) {
    const spinner = await build(filters, classes);
    const ours = (requests) => spinner.spin(requests);
    const peer = promiseChain(filters);
    const peerRequests = REQUESTS / 5;
    rows.push(
      await measure({
        name: `ns per request, ${filters} filters`,
        unit: 'ns',
        better: 'lower',
        contestants: {
          ours: () => nsPerRequest(ours, REQUESTS),
          'promise per hop': () => nsPerRequest(peer, peerRequests),
        },
      }),
      await measure({
        name: `ram read 4k ${filters} filters d${DEPTH}`,
        unit: 'requests/s',
        better: 'higher',
        contestants: {
          ours: async () => 1e9 / (await nsPerRequest(ours, REQUESTS)),
          'promise per hop': async () => 1e9 / (await nsPerRequest(peer, peerRequests)),
        },
      }),
      await measure({
        name: `gc per million requests, ${filters} filters`,
        unit: 'collections',
        better: 'lower',
        rounds: 3,
        contestants: {
          ours: () => collections(ours, 2 * REQUESTS),
          'promise per hop': () => collections(peer, peerRequests),
        },
      }),
    );
  }
  rows.push(perFilter(rows));
  return writeResults(
    'core',
    'Cost of a request through bricks, in RAM, without payload, at depth 64; observers with a time stamp and a histogram each.',
    rows,
  );
}

/** What one more filter costs, from the rows with 0 and 9. */
function perFilter(rows) {
  const of = (filters) => rows.find((row) => row.name === `ns per request, ${filters} filters`);
  const runs = of(9).runs.map((run, i) =>
    Object.fromEntries(Object.keys(run).map((who) => [who, (run[who] - of(0).runs[i][who]) / 9])),
  );
  const medianOf = (who) => [...runs.map((run) => run[who])].sort((a, b) => a - b)[runs.length >> 1];
  const [ours, peer] = [medianOf('ours'), medianOf('promise per hop')];
  return {
    name: 'ns per filter',
    unit: 'ns',
    ours,
    peers: { 'promise per hop': peer },
    ratio: ours / peer,
    better: 'lower',
    runs,
  };
}
