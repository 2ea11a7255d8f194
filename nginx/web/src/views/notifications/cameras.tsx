// The cameras of a subscription: all of them, or some that the user chooses.
import { useState } from "preact/hooks";

import { nameOf, useNames } from "../../api/names";
import { t } from "../../ui/i18n";
import { Picker } from "../wall/picker";

/** The API's limit. */
const MAX_CAMERAS = 100;
const TEXTS = {
  title: "push.pick_title",
  order: "push.picked",
  none: "push.none_picked",
} as const;

interface CameraChoiceProps {
  /** The ids of the cameras; empty for all of them. */
  chosen: string[];
  onChange: (cameras: string[]) => void;
}

export function CameraChoice({ chosen, onChange }: CameraChoiceProps) {
  const [isPicking, setPicking] = useState(false);
  useNames(chosen);
  return (
    <fieldset class="part">
      <legend>{t("push.cameras")}</legend>
      <p class="push-cameras">
        {chosen.length > 0 ? chosen.map(nameOf).join(", ") : t("push.all_cameras")}
      </p>
      <div class="actions push-cameras">
        <button type="button" onClick={() => setPicking(true)}>
          {t("push.pick")}
        </button>
        {chosen.length > 0 && (
          <button type="button" onClick={() => onChange([])}>
            {t("push.all_cameras")}
          </button>
        )}
      </div>
      {isPicking && (
        <Picker
          shown={[]}
          ids={chosen}
          texts={TEXTS}
          max={MAX_CAMERAS}
          onSelect={(ids) => {
            onChange(ids ?? []);
            setPicking(false);
          }}
          onClose={() => setPicking(false)}
        />
      )}
    </fieldset>
  );
}
