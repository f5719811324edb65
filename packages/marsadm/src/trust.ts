import type { JoinToken, TrustStore } from '@mars/wire';

/** What marsadm does with `/mars/.trust/`. */
export interface Trust extends Pick<
  TrustStore,
  'read' | 'create' | 'createInsecure' | 'keepToken' | 'invite' | 'remove'
> {
  /** What a token says. @throws MarsError BAD_TOKEN */
  readToken(line: string): JoinToken;
}
