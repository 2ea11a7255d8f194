// Reads the manager's histograms.

/** Returns the numbers of observations by the upper limit of their bucket in seconds. */
export function buckets(metrics, name) {
  const lines = metrics.matchAll(new RegExp(`^${name}_bucket\\{le="([^"]+)"\\} (\\d+)$`, "gm"));
  let before = 0;
  return Array.from(lines, ([, limit, text]) => {
    const count = Number(text) - before;
    before = Number(text);
    return { limit: limit === "+Inf" ? Infinity : Number(limit), count };
  });
}

/** Returns the observations of `after` without those of `before`: their number, and the limits of some quantiles. */
export function between(before, after) {
  const counts = after.map(({ limit, count }, index) => ({ limit, count: count - before[index].count }));
  const total = counts.reduce((sum, { count }) => sum + count, 0);
  const quantile = (fraction) => {
    let seen = 0;
    return counts.find(({ count }) => (seen += count) >= fraction * total && seen > 0)?.limit ?? null;
  };
  return { count: total, p50: quantile(0.5), p99: quantile(0.99), max: quantile(1) };
}
