// The numbers of events by camera and hour.
import type { EventCount } from "../../api/types";

/** The number of hours in a chart. */
export const HOURS = 24;
export const HOUR_MS = 3_600_000;

/** The number of events of a camera. */
export interface Chart {
  camera: string;
  total: number;
  /** The numbers by the beginnings of the hours, in Unix milliseconds. */
  hours: Map<number, number>;
}

/** Returns the charts, those with the most events first. Events that concern no camera are left out. */
export function chartsOf(counts: EventCount[]): Chart[] {
  const charts = new Map<string, Chart>();
  for (const { camera, hour, count } of counts) {
    if (camera) {
      const chart = charts.get(camera) ?? { camera, total: 0, hours: new Map() };
      const begin = Date.parse(hour);
      chart.total += count;
      chart.hours.set(begin, (chart.hours.get(begin) ?? 0) + count);
      charts.set(camera, chart);
    }
  }
  return [...charts.values()].sort((a, b) => b.total - a.total || (a.camera < b.camera ? -1 : 1));
}

/** Returns the beginnings of the last 24 hours, of which the last one contains `date`, in Unix milliseconds. */
export function hoursUntil(date: number): number[] {
  const last = Math.floor(date / HOUR_MS) * HOUR_MS;
  return Array.from({ length: HOURS }, (_, n) => last - (HOURS - 1 - n) * HOUR_MS);
}
