// Chance that can be had again.

/** Random numbers that the seed decides (mulberry32). */
export class Random {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  /** From 0 to below 1. */
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = this.state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  }

  between(low, high) {
    return low + this.next() * (high - low);
  }

  /** Whether something happens that does so in this part of all cases. */
  chance(part) {
    return this.next() < part;
  }

  pick(items) {
    return items[Math.floor(this.next() * items.length)];
  }

  /** One of the names of `weights`, as often as they say. */
  weighted(weights) {
    const all = Object.entries(weights);
    let left = this.next() * all.reduce((sum, [, weight]) => sum + weight, 0);
    return all.find(([, weight]) => (left -= weight) < 0)[0];
  }
}
