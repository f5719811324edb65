/** The daemon's connections to the other hosts, as far as the rest of the daemon needs to know. */
export interface DaemonNetwork {
  /** Opens ports and connections, or says in the log why not. */
  start(): Promise<void>;
  /** Sends what waits, then closes everything. */
  stop(): Promise<void>;
  /** Peers run a round. @param all also those without common resources */
  notify(all: boolean): void;
  /** Compares trees with all peers now. @param fully with everything that there is */
  compare(fully: boolean): void;
  /** @returns what went wrong; null = done */
  pushLink(peer: string, canonicalPath: string, value: string): Promise<string | null>;
  pushCheck(peer: string, canonicalPath: string): Promise<string | null>;
  /** Contents of the control file `peers`, JSON lines. */
  peersText(): string;
  /** One sentence for people: what is open, and why nothing is. */
  describe(): string;
  /** Once per round: the files of trust may have changed, a certificate may be old. */
  round(): Promise<void>;
  /** Tombstones that every host has seen may go. @returns their paths */
  collect(): string[];
}
