// Reproducible random numbers.

/** A random number generator that is determined by its seed (mulberry32). */
export class Random {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  /** Returns a number from 0 (inclusive) to 1 (exclusive). */
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = this.state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  }

  /** Returns a number from `low` (inclusive) to `high` (exclusive). */
  between(low, high) {
    return low + this.next() * (high - low);
  }

  /** Returns true with this probability. */
  chance(probability) {
    return this.next() < probability;
  }

  /** Returns a random item; undefined if there are none. */
  pick(items) {
    return items[Math.floor(this.next() * items.length)];
  }

  /** Returns a random key of `weights`, whose values are the relative probabilities of the keys. */
  weighted(weights) {
    const entries = Object.entries(weights);
    let remaining = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    return entries.find(([, weight]) => (remaining -= weight) < 0)[0];
  }
}
