// Small charts with the number of events in each of the last 24 hours, one for each camera.
import { useCallback } from "preact/hooks";

import { countEvents, type EventFilter } from "../../api/events";
import { nameOf, useNames } from "../../api/names";
import { useReading } from "../../api/reading";
import { clock, number, plural } from "../../ui/i18n";
import { ScrollBox } from "../../ui/scroll-box";
import { type Chart, chartsOf, HOUR_MS, HOURS, hoursUntil } from "./charts";
import { cameraAddress } from "./filter";

/** Pause between two requests. */
const EVERY_MS = 60_000;
/** The largest number of charts: those of the cameras with the most events. */
const MAX_CHARTS = 24;

/** The charts of the cameras with events; nothing if there are no events. */
export function Counts({ filter }: { filter: EventFilter }) {
  const { camera, type, to } = filter;
  const read = useCallback(async () => {
    // The time before which the filter's events happened can be the beginning of an hour.
    const hours = hoursUntil(to ? Date.parse(to) - 1 : Date.now());
    const from = new Date(hours[0] ?? 0).toISOString();
    return { hours, charts: chartsOf(await countEvents({ camera, type }, from, to)) };
  }, [camera, type, to]);
  const { value } = useReading(read, { every: EVERY_MS });
  const charts = value?.charts.slice(0, MAX_CHARTS) ?? [];
  useNames(charts.map((chart) => chart.camera));
  const largest = Math.max(1, ...charts.flatMap(({ hours }) => [...hours.values()]));
  if (!value || charts.length === 0) {
    return null;
  }
  return (
    <ScrollBox class="strip counts" label={plural("events.hours", HOURS)}>
      <ul>
        {charts.map((chart) => (
          <li key={chart.camera} data-counts={chart.camera}>
            <a href={cameraAddress(chart.camera)}>
              <span class="name" title={nameOf(chart.camera)}>
                <bdi>{nameOf(chart.camera)}</bdi>
              </span>
              <span class="quiet">{`${number(chart.total)} · ${plural("events.hours", HOURS)}`}</span>
            </a>
            <Bars chart={chart} hours={value.hours} largest={largest} />
          </li>
        ))}
      </ul>
    </ScrollBox>
  );
}

interface BarsProps {
  chart: Chart;
  hours: number[];
  /** The largest number of all charts, which has the full height. */
  largest: number;
}

function Bars({ chart, hours, largest }: BarsProps) {
  return (
    <ul class="usage">
      {hours.map((hour) => {
        const count = chart.hours.get(hour) ?? 0;
        const text = `${clock(hour, false)}–${clock(hour + HOUR_MS, false)}: ${number(count)}`;
        return (
          <li key={hour} title={text} style={{ height: `${(count / largest) * 100}%` }}>
            <span class="unseen">{text}</span>
          </li>
        );
      })}
    </ul>
  );
}
