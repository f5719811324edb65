import { ErrorCode, MarsError } from '@mars/brick-core';
import type { BrickNet } from '@mars/bricks-net';

/** Where nothing has been said about the network: `client` and `server` cannot start, and say why. */
export const noBrickNet: BrickNet = {
  bootId: '',
  offer: () => refuse(),
  link: () => refuse(),
};

function refuse(): never {
  throw new MarsError(ErrorCode.START_FAILED, 'this stack has no network to other hosts', {
    hint: 'mars-stack run: add --mars DIR (a member of a cluster, TLS) or --insecure (plain text, trusted networks only), and --listen for exports.',
  });
}
