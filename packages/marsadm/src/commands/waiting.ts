import type { Job } from '../execute/job.js';
import { ping } from '../execute/ping.js';
import { buttonName, ledName, waitButton, waitDevice, waitLed, waitUmount } from '../execute/wait.js';
import { UsageError } from '../exit.js';
import { onePhase, type Command } from './command.js';

export const waitConnect: Command = {
  name: 'wait-connect',
  usage: 'RES',
  about: 'Waits until the peers of a resource have answered.',
  resource: 'resource',
  since: '0.9',
  writes: ['nothing; asks the peers (trigger 3)'],
  waits: ['a sign of life of each peer; gives up on peers silent for half of --window'],
  examples: ['wait-connect mydata'],
  phases: onePhase(async (job) => void (await ping(job.session, { resource: job.resource }))),
};

export const waitUmountCommand: Command = {
  name: 'wait-umount',
  isNarrow: true,
  usage: 'RES',
  about: 'Waits until nobody on this host uses the device.',
  resource: 'resource',
  since: '0.9',
  waits: ['actual-HOST/open-count = 0'],
  examples: ['wait-umount all'],
  phases: onePhase(waitUmount),
};

export const waitResource: Command = {
  name: 'wait-resource',
  isNarrow: true,
  usage: 'RES [is-|has-|todo-]NAME[-on|-off]',
  about: 'Waits for a condition: a led (is-, has-) or a switch (todo-, or nothing in front).',
  resource: 'resource',
  since: '0.9',
  waits: [
    'is-NAME: attach replay fetch sync primary secondary device; NAME: attach fetch replay sync primary secondary',
  ],
  notes: ['-on is the default; -1 and -0 are the same as -on and -off.'],
  examples: ['wait-resource mydata is-primary-off', '--timeout=60 wait-resource all is-device'],
  phases: onePhase(runWait),
};

/** `view-wait-is-primary-on` and its like: the same conditions by other names. */
export const viewWaits: readonly Command[] = ['is', 'todo'].flatMap((kind) =>
  ['attach', 'sync', 'fetch', 'replay', 'primary', 'secondary'].flatMap((name) =>
    ['on', 'off'].map((state): Command => {
      const condition = `${kind}-${name}-${state}`;
      return {
        ...waitResource,
        name: `view-wait-${condition}`,
        usage: 'RES',
        about: `The same as wait-resource RES ${condition}.`,
        since: '0.1-36',
        helpLevel: 3,
        notes: [],
        waits: [condition],
        examples: [`--timeout=60 view-wait-${condition} all`],
        phases: onePhase((job) => waitCondition(job, condition)),
      };
    }),
  ),
);

async function runWait(job: Job): Promise<void> {
  const [condition] = job.args;
  if (condition === undefined)
    throw new UsageError('wait-resource needs a condition', [`usage: marsadm wait-resource ${waitResource.usage}`]);
  await waitCondition(job, condition);
}

const BUTTONS = ['attach', 'connect', 'allow-replay', 'sync', 'primary', 'secondary'];

/** Source: marsadm.md 10, wait-resource; [OURS] is-secondary is the contrary of is-primary */
async function waitCondition(job: Job, text: string): Promise<void> {
  const match = /^(is-|has-|todo-)?(.*?)(?:-(on|1|off|0))?$/.exec(text)!;
  const [, prefix = '', name = '', state = 'on'] = match;
  const wanted = state === 'on' || state === '1';
  if (prefix === 'is-' || prefix === 'has-') return await waitForLed(job, name, wanted);
  const button = buttonName(name.replace(/^attached$/, 'attach'));
  if (!BUTTONS.includes(button)) job.refuse(`button '${name}' does not exist`, `Known: ${BUTTONS.join(', ')}.`);
  await waitButton(job, button, wanted);
}

async function waitForLed(job: Job, name: string, wanted: boolean): Promise<void> {
  if (name === 'device') return await waitDevice(job, wanted);
  const led = ledName(name);
  if (led === null) {
    job.refuse(
      `actual indicator '${name}' does not exist`,
      'Known: attach, replay, fetch, sync, primary, secondary, device.',
    );
  }
  await waitLed(job, led, name.startsWith('secondary') ? !wanted : wanted);
}
