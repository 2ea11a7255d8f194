// The dialog in which the user chooses the cameras on the wall and their order.
import { useCallback, useState } from "preact/hooks";

import { listCameras } from "../../api/cameras";
import { useReading } from "../../api/reading";
import { t } from "../../ui/i18n";
import { IconButton } from "../../ui/icons";
import { Dialog } from "../../ui/parts";
import { ErrorAlert } from "../error";
import type { WallCamera } from "./load";

const MAX_FOUND = 50;
const TYPING_MS = 200;

interface PickerProps {
  /** The cameras on the wall's current page. */
  shown: WallCamera[];
  /** The chosen cameras; null for all. */
  ids: string[] | null;
  onChoose: (ids: string[] | null) => void;
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

export function Picker({ shown, ids, onChoose, onClose }: PickerProps) {
  const [chosen, setChosen] = useState<string[]>(ids ?? []);
  const [search, setSearch] = useState("");
  const [names, setNames] = useState(() => namesOf(shown));
  const read = useCallback(async () => {
    const page = await listCameras({ limit: MAX_FOUND, search });
    setNames((before) => new Map([...before, ...namesOf(page.cameras)]));
    return page;
  }, [search]);
  const { value: found, error } = useReading(read, { delay: TYPING_MS });

  const toggle = (id: string) =>
    setChosen(chosen.includes(id) ? chosen.filter((other) => other !== id) : [...chosen, id]);
  const more = found ? found.total - found.cameras.length : 0;

  return (
    <Dialog title={t("picker.title")} onClose={onClose}>
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
                    checked={chosen.includes(id)}
                    onChange={() => toggle(id)}
                  />
                  <span>{name}</span>
                  {name !== id && <small>{id}</small>}
                </label>
              </li>
            ))}
          </ul>
          {more > 0 && <p class="hint">{t("picker.more", { n: more })}</p>}
        </section>
        <section aria-label={t("picker.order")}>
          <h3>{t("picker.order")}</h3>
          {chosen.length === 0 && <p class="hint">{t("picker.none")}</p>}
          <ol class="order">
            {chosen.map((id, index) => (
              <li key={id}>
                <span>{names.get(id) ?? id}</span>
                <IconButton
                  icon="up"
                  label={t("picker.up", { name: names.get(id) ?? id })}
                  disabled={index === 0}
                  onClick={() => setChosen(moved(chosen, index, index - 1))}
                />
                <IconButton
                  icon="down"
                  label={t("picker.down", { name: names.get(id) ?? id })}
                  disabled={index === chosen.length - 1}
                  onClick={() => setChosen(moved(chosen, index, index + 1))}
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
        <button type="button" onClick={() => onChoose(null)}>
          {t("picker.all")}
        </button>
        <button
          type="button"
          class="primary"
          disabled={chosen.length === 0}
          onClick={() => onChoose(chosen)}
        >
          {t("picker.show", { n: chosen.length })}
        </button>
      </div>
    </Dialog>
  );
}
