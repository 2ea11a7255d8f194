// The keys and gestures of the view of recordings.
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
  ["Esc"],
] as const;

export function Help({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title={t("recordings.help")} onClose={onClose} class="narrow">
      <dl class="facts keys">
        {KEYS.map((keys) => (
          <>
            <dt key={keys[0]}>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{t(`recordings.key.${keys[0]}`)}</dd>
          </>
        ))}
      </dl>
      <p class="hint">{t("recordings.gestures")}</p>
    </Dialog>
  );
}
