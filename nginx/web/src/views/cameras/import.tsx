// The import of cameras from a file: an export, a table, or the configuration of another system.
import { useState } from "preact/hooks";

import { cameraChanges } from "../../api/changes";
import { putFile } from "../../api/client";
import type { Imported } from "../../api/types";
import { t } from "../../ui/i18n";
import { Icon } from "../../ui/icons";
import { notify } from "../../ui/notice";
import { Alert, Dialog } from "../../ui/parts";
import { report } from "../error";

/** The most cameras that the dialog lists. */
const MAX_ROWS = 200;

interface Preview {
  text: string;
  result: Imported;
}

/**
 * The button for an import. An export is imported at once. For other files, a dialog first shows the cameras that the
 * import would store, and what it would leave out.
 */
export function Import() {
  const [preview, setPreview] = useState<Preview | null>(null);
  const store = async (text: string) => {
    setPreview(null);
    try {
      const { created, updated, unchanged } = await putFile<Imported>("cameras.json", text);
      cameraChanges.value += 1;
      notify(t("cameras.imported", { created, updated, unchanged }));
    } catch (cause) {
      report(cause);
    }
  };
  const choose = async (event: Event & { currentTarget: HTMLInputElement }) => {
    const input = event.currentTarget;
    const file = input.files?.[0];
    if (!file) {
      return;
    }
    try {
      const text = await file.text();
      const result = await putFile<Imported>("cameras.json?dry_run=true", text);
      if (result.format === "json") {
        await store(text);
      } else {
        setPreview({ text, result });
      }
    } catch (cause) {
      report(cause);
    }
    input.value = "";
  };
  return (
    <>
      <label class="button" title={t("cameras.import_hint")}>
        <Icon name="upload" />
        {t("cameras.import")}
        <input type="file" class="unseen" accept=".json,.csv,.yml,.yaml" onChange={choose} />
      </label>
      {preview && (
        <PreviewDialog
          result={preview.result}
          onClose={() => setPreview(null)}
          onConfirm={() => void store(preview.text)}
        />
      )}
    </>
  );
}

interface PreviewProps {
  result: Imported;
  onClose: () => void;
  onConfirm: () => void;
}

function PreviewDialog({ result, onClose, onConfirm }: PreviewProps) {
  const { created, updated, unchanged } = result;
  const cameras = result.cameras ?? [];
  const missing = result.missing_variables ?? [];
  return (
    <Dialog title={t("cameras.import_title")} onClose={onClose}>
      <p>{t("cameras.import_counts", { created, updated, unchanged })}</p>
      <ul class="list">
        {cameras.slice(0, MAX_ROWS).map(({ id, name, source, source_sub }) => (
          <li key={id} class="row">
            <div class="row-main">
              <strong>{name}</strong>
              <span class="quiet">
                {[name === id ? null : id, source, source_sub].filter(Boolean).join(" · ")}
              </span>
            </div>
          </li>
        ))}
      </ul>
      {(result.left_out ?? []).map(({ name, reason }) => (
        <p key={`${name} ${reason}`} class="hint">
          {t("cameras.import_left_out", { name, reason })}
        </p>
      ))}
      {missing.length > 0 && (
        <Alert>{t("cameras.import_variables", { names: missing.join(", ") })}</Alert>
      )}
      <div class="actions">
        <button type="button" onClick={onClose}>
          {t("cancel")}
        </button>
        <button
          type="button"
          class="primary"
          disabled={cameras.length === 0 || missing.length > 0}
          onClick={onConfirm}
        >
          {t("cameras.import")}
        </button>
      </div>
    </Dialog>
  );
}
