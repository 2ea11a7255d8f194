// Formats the figures of the tables.
const NONE = "–";

export const milliseconds = (value) => (value === null ? NONE : value.toFixed(0));
export const percent = (share, digits = 1) =>
  share === null ? NONE : `${(share * 100).toFixed(digits)} %`;
export const megabytes = (bytes) => (bytes / 1_000_000).toFixed(2);
