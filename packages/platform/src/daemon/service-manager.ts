import { native } from '../native.js';

/**
 * Tells systemd (or whoever set NOTIFY_SOCKET) about this service: `READY=1`, `STOPPING=1`, `STATUS=…`. Does nothing elsewhere; what
 * cannot be delivered is not worth an error.
 */
export function notifyServiceManager(...lines: readonly string[]): void {
  const socket = process.env['NOTIFY_SOCKET'];
  if (socket === undefined || socket === '' || native === null) return;
  native.sendDatagram(socket, lines.join('\n'));
}
