// Limits how many requests of one kind are in progress at the same time.

export class RequestQueue {
  private count = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly most: number) {}

  /**
   * Sends a request when fewer than `most` others are in progress. Rejects without sending it if `signal` has been
   * aborted by then.
   */
  async run<Response>(signal: AbortSignal, send: () => Promise<Response>): Promise<Response> {
    if (this.count < this.most) {
      this.count += 1;
    } else {
      await new Promise<void>((enter) => this.waiting.push(enter));
    }
    try {
      signal.throwIfAborted();
      return await send();
    } finally {
      const next = this.waiting.shift();
      if (next) {
        next(); // The next request takes the place of this one.
      } else {
        this.count -= 1;
      }
    }
  }
}
