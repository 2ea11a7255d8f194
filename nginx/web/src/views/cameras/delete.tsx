// The question whether to delete a camera, and what becomes of its recordings.
import { useEffect, useState } from "preact/hooks";

import { type RecordedAmount, recordedAmount } from "../../api/recorded-amount";
import type { Camera } from "../../api/types";
import { Field } from "../../ui/fields";
import { size, t } from "../../ui/i18n";
import { Dialog } from "../../ui/parts";

interface DeleteProps {
  camera: Camera;
  onClose: () => void;
  /** Called when the user confirms, with whether to keep the recordings. */
  onDelete: (keepsRecordings: boolean) => void;
}

/**
 * Asks whether to delete a camera. If its recordings would be deleted as well, the user must enter the name of the
 * camera, because protected recordings and copies off-site are among them.
 */
export function DeleteDialog({ camera, onClose, onDelete }: DeleteProps) {
  const [amount, setAmount] = useState<RecordedAmount | null>(null);
  const [keeps, setKeeping] = useState(false);
  const [name, setName] = useState("");
  useEffect(() => void recordedAmount(camera.id).then(setAmount), [camera.id]);
  const hasRecordings = amount !== null && amount.hasRecordings !== false;
  const isNameNeeded = hasRecordings && !keeps;
  const canDelete = amount !== null && (!isNameNeeded || name.trim() === camera.name.trim());
  const submit = (event: Event) => {
    event.preventDefault();
    if (canDelete) {
      onDelete(hasRecordings && keeps);
    }
  };
  return (
    <Dialog title={t("cameras.delete", { name: camera.name })} onClose={onClose} class="narrow">
      <form class="form" onSubmit={submit} aria-busy={amount === null}>
        <p>{t("cameras.delete_text")}</p>
        {hasRecordings && (
          <>
            <p>
              {t(keeps ? "cameras.delete_keeps" : "cameras.delete_recordings")}{" "}
              {!keeps && amounts(amount)}
            </p>
            <label class="check">
              <input
                type="checkbox"
                checked={keeps}
                onChange={(event) => setKeeping(event.currentTarget.checked)}
              />
              <span>{t("cameras.keep_recordings")}</span>
            </label>
          </>
        )}
        {isNameNeeded && (
          <Field
            label={t("cameras.delete_confirm", { name: camera.name })}
            name="confirmed_name"
            value={name}
            autocomplete="off"
            onInput={setName}
          />
        )}
        <div class="actions">
          <button type="button" onClick={onClose}>
            {t("cancel")}
          </button>
          <button type="submit" class="danger" disabled={!canDelete}>
            {t("delete")}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** Returns the size of the recordings and of the copies off-site, as far as it is known. */
function amounts({ bytes, offsiteBytes }: RecordedAmount): string {
  return [
    bytes && t("cameras.delete_bytes", { size: size(bytes) }),
    offsiteBytes > 0 && t("cameras.delete_offsite", { size: size(offsiteBytes) }),
  ]
    .filter(Boolean)
    .join(" ");
}
