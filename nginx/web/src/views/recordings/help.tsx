// The keys and gestures of the view of recordings.
import { Fragment } from "preact";

import { t } from "../../ui/i18n";
import { Dialog } from "../../ui/parts";

const KEYS = [
  ["Space", "K"],
  ["J", "L"],
  ["←", "→"],
  ["Shift ←", "Shift →"],
  [",", "."],
  ["Home", "End"],
  ["[", "]"],
  ["+", "−"],
  ["I", "O"],
  ["F"],
  ["Esc"],
] as const;

export function Help({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title={t("recordings.help")} onClose={onClose} class="narrow">
      <dl class="facts keys">
        {KEYS.map((keys) => (
          <Fragment key={keys[0]}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{t(`recordings.key.${keys[0]}`)}</dd>
          </Fragment>
        ))}
      </dl>
      <p class="hint">{t("recordings.gestures")}</p>
    </Dialog>
  );
}
