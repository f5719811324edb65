/**
 * The two-edge handshake of one brick.
 *
 * ```
 *  button   ______|~~~~~~~~~~~~~~~~~~~~|__________________      pressed ........................... released
 *  led on   ____________|~~~~~~~~~~~~~~|__________________      rises when everything works, falls at once
 *  led off  ~~~~~~|___________________________|~~~~~~~~~~~      falls at once, rises when the last activity has ended
 * ```
 * Both leds dark is a transition and may last; both lit cannot be expressed, because the led is one named state.
 * Source: bricks.md 1.6.
 */
export type Led = 'off' | 'switching' | 'on';

export class PowerSwitch {
  /** Wanted. Set by the graph. */
  button = false;
  /** From now on only "off" is possible. */
  forceOff = false;
  /** Progress of a long switching or job, 0 … 100. */
  percent = 0;
  /** Milliseconds after which hanging I/O becomes an error; 0 = the brick's own default. */
  ioTimeoutMs = 0;
  private led_: Led = 'off';
  /** Read by every wire for every request, so it is a field of its own and not derived. */
  ledOn = false;

  get led(): Led {
    return this.led_;
  }

  get ledOff(): boolean {
    return this.led_ === 'off';
  }

  /** Set by the base class of the brick only. */
  set(led: Led): void {
    this.led_ = led;
    this.ledOn = led === 'on';
  }
}
