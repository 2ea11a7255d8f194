// Finds out whether a connection still exists while the camera is away.

/**
 * While the camera is away, the service sends no media, and browsers do not show its pings. A computer notices that a
 * connection is lost only if it sends something.
 */
const EVERY_MS = 10_000;

export class LifeSigns {
  private timer: ReturnType<typeof setInterval> | undefined;

  /** `send` sends a message that the service accepts at any time. */
  constructor(private readonly send: () => void) {}

  /** Sends while the camera is away. */
  away(isAway: boolean): void {
    clearInterval(this.timer);
    this.timer = isAway ? setInterval(this.send, EVERY_MS) : undefined;
  }
}
