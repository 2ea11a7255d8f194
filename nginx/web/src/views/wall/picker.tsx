// The dialog for selecting the cameras on the wall and their order.
import { useCallback, useState } from "preact/hooks";

import { listCameras } from "../../api/cameras";
import { useReading } from "../../api/reading";
import { type Key, number, t } from "../../ui/i18n";
import { IconButton } from "../../ui/icons";
import { Dialog } from "../../ui/parts";
import { ErrorAlert } from "../error";
import type { WallCamera } from "./load";

/** The largest number of cameras that the list shows. */
const MAX_RESULTS = 50;
/** The delay of a search after the last keystroke. */
const SEARCH_DELAY_MS = 200;

/** The texts that depend on what the cameras are selected for. */
export type PickerTexts = Record<"title" | "order" | "none", Key>;

const WALL_TEXTS: PickerTexts = {
  title: "picker.title",
  order: "picker.order",
  none: "picker.none",
};

interface PickerProps {
  /** The cameras on the wall's current page. */
  shown: WallCamera[];
  /** The ids of the selected cameras; null for all cameras. */
  ids: string[] | null;
  texts?: PickerTexts;
  /** The largest number of cameras that can be selected; without it, any number, or all cameras. */
  max?: number;
  onSelect: (ids: string[] | null) => void;
  onClose: () => void;
}

function namesOf(cameras: WallCamera[]): Map<string, string> {
  return new Map(cameras.map(({ id, name }) => [id, name]));
}

/** Returns a copy of the list with one element at another position. */
function moved<T>(list: T[], from: number, to: number): T[] {
  const result = [...list];
  result.splice(to, 0, ...result.splice(from, 1));
  return result;
}

export function Picker({ shown, ids, texts = WALL_TEXTS, max, onSelect, onClose }: PickerProps) {
  const [selected, setSelected] = useState<string[]>(ids ?? []);
  const [search, setSearch] = useState("");
  const [names, setNames] = useState(() => namesOf(shown));
  const read = useCallback(async () => {
    const page = await listCameras({ limit: MAX_RESULTS, search });
    setNames((before) => new Map([...before, ...namesOf(page.cameras)]));
    return page;
  }, [search]);
  const { value: found, error } = useReading(read, { delay: SEARCH_DELAY_MS });

  const toggle = (id: string) =>
    setSelected(
      selected.includes(id) ? selected.filter((other) => other !== id) : [...selected, id],
    );
  const more = found ? found.total - found.cameras.length : 0;

  return (
    <Dialog
      title={t(texts.title)}
      isChanged={selected.join() !== (ids ?? []).join()}
      onClose={onClose}
    >
      <div class="picker">
        <section>
          <label class="field">
            {t("picker.search")}
            <input
              type="search"
              value={search}
              onInput={(event) => setSearch(event.currentTarget.value)}
            />
          </label>
          <ErrorAlert error={error} />
          <ul class="choices">
            {found?.cameras.map(({ id, name }) => (
              <li key={id}>
                <label class="choice">
                  <input
                    type="checkbox"
                    checked={selected.includes(id)}
                    disabled={!selected.includes(id) && selected.length >= (max ?? Infinity)}
                    onChange={() => toggle(id)}
                  />
                  <span class="choice-text">
                    <span class="name" title={name}>
                      <bdi>{name}</bdi>
                    </span>
                    {name !== id && <small>{id}</small>}
                  </span>
                </label>
              </li>
            ))}
          </ul>
          {more > 0 && <p class="hint">{t("picker.more", { n: number(more) })}</p>}
        </section>
        <section aria-label={t(texts.order)}>
          <h3>{t(texts.order)}</h3>
          {selected.length === 0 && <p class="hint">{t(texts.none)}</p>}
          <ol class="order">
            {selected.map((id, index) => (
              <li key={id}>
                <span class="name" title={names.get(id) ?? id}>
                  <bdi>{names.get(id) ?? id}</bdi>
                </span>
                <IconButton
                  icon="up"
                  label={t("picker.up", { name: names.get(id) ?? id })}
                  disabled={index === 0}
                  onClick={() => setSelected(moved(selected, index, index - 1))}
                />
                <IconButton
                  icon="down"
                  label={t("picker.down", { name: names.get(id) ?? id })}
                  disabled={index === selected.length - 1}
                  onClick={() => setSelected(moved(selected, index, index + 1))}
                />
                <IconButton
                  icon="close"
                  label={t("picker.remove", { name: names.get(id) ?? id })}
                  onClick={() => toggle(id)}
                />
              </li>
            ))}
          </ol>
        </section>
      </div>
      <div class="actions">
        {max === undefined && (
          <button type="button" onClick={() => onSelect(null)}>
            {t("picker.all")}
          </button>
        )}
        <button
          type="button"
          class="primary"
          disabled={selected.length === 0}
          onClick={() => onSelect(selected)}
        >
          {t("picker.show", { n: selected.length })}
        </button>
      </div>
    </Dialog>
  );
}
