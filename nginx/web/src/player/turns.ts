// Limits how many tiles of the page try another transport at the same time. Without a limit, all tiles of a wall would
// start further transports when the computer is busy, which would then have even more to do.

/** At most this many attempts of the page that are not necessary for a picture, or that only may be. */
const MAX_TURNS = 3;

export class Turns {
  private taken = 0;

  constructor(private readonly most: number = MAX_TURNS) {}

  /** Returns a function that ends the turn; null if there are too many turns now. */
  take(): (() => void) | null {
    if (this.taken >= this.most) {
      return null;
    }
    this.taken += 1;
    let isOver = false;
    return () => {
      this.taken -= isOver ? 0 : 1;
      isOver = true;
    };
  }
}

/** The turns of all tiles of the page. */
export const pageTurns = new Turns();
