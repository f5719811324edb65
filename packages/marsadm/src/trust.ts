import type { TrustStore } from '@mars/wire';

/** What marsadm does with `/mars/.trust/`. */
export type Trust = Pick<TrustStore, 'read' | 'create' | 'createInsecure' | 'keepToken' | 'invite' | 'remove'>;
