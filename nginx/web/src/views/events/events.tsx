// The view of events: a list with filters, which shows further events as they happen.
import { hasRole } from "../../api/caller";
import { markAllSeen, markSeen } from "../../api/events";
import { useNames } from "../../api/names";
import type { StoredEvent } from "../../api/types";
import { plural, t } from "../../ui/i18n";
import { Icon } from "../../ui/icons";
import { notify } from "../../ui/notice";
import { Empty } from "../../ui/parts";
import { place } from "../../ui/place";
import { ErrorAlert, report } from "../error";
import { Counts } from "./counts";
import { Filter, filterOf } from "./filter";
import { Row } from "./row";
import { Strip } from "./strip";
import { useEvents } from "./use-events";

export function Events() {
  const filter = filterOf(place.value.query);
  const { list, error, more, see } = useEvents(filter);
  useNames(list?.events.flatMap(({ camera }) => camera ?? []) ?? []);
  const canMark = hasRole("user");
  const unseen = list?.events.filter(({ seen }) => !seen) ?? [];
  const mark = async (event: StoredEvent) => {
    try {
      await markSeen(event.id);
      see(({ id }) => id === event.id);
    } catch (cause) {
      report(cause);
    }
  };
  const markAll = async () => {
    const upTo = Math.max(...(list?.events ?? []).map(({ id }) => id));
    try {
      await markAllSeen(filter, upTo);
      see(({ id }) => id <= upTo);
      notify(t("events.all_seen"));
    } catch (cause) {
      report(cause);
    }
  };
  return (
    <div class="page">
      <div class="bar">
        <h1>{t("nav.events")}</h1>
        {unseen.length > 0 && <span class="quiet">{plural("events.unseen", unseen.length)}</span>}
        <span class="gap" />
        {canMark && unseen.length > 0 && (
          <button type="button" onClick={() => void markAll()}>
            <Icon name="check" />
            {t("events.mark_all")}
          </button>
        )}
      </div>
      <Filter filter={filter} />
      <ErrorAlert error={error} />
      {!list && <div class="list waiting" aria-busy="true" />}
      {list?.events.length === 0 && (
        <Empty icon="bell" title={t("events.none_title")}>
          <p>{t("events.none")}</p>
        </Empty>
      )}
      {list && <Strip events={list.events} onMore={list.next ? more : null} />}
      <Counts filter={filter} />
      {list && list.events.length > 0 && (
        <ul class="list">
          {list.events.map((event) => (
            <Row key={event.id} event={event} onSeen={canMark ? mark : null} />
          ))}
        </ul>
      )}
      {list?.next && (
        <button type="button" class="more" onClick={() => void more()}>
          {t("events.more")}
        </button>
      )}
    </div>
  );
}
