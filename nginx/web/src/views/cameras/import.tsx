// The import of cameras from a file: an export, a table, or the configuration of another system.
import { useState } from "preact/hooks";

import { cameraChanges } from "../../api/changes";
import { putFile } from "../../api/client";
import type { Imported, PreviewCamera } from "../../api/types";
import { plural, t } from "../../ui/i18n";
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
        {cameras.slice(0, MAX_ROWS).map((camera) => (
          <PreviewRow key={camera.id} camera={camera} />
        ))}
      </ul>
      {cameras.length > MAX_ROWS && (
        <p class="hint">{plural("cameras.import_more", cameras.length - MAX_ROWS)}</p>
      )}
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

/** A camera that an import would store, with the same facts as in the output of the command `import`. */
function PreviewRow({ camera }: { camera: PreviewCamera }) {
  const { id, name, source, source_sub, video, audio, transport, effect, notes = [] } = camera;
  const facts = [
    name === id ? null : id,
    t(`cameras.import_effect.${effect}`),
    source && t("cameras.import_main", { link: source }),
    source_sub && t("cameras.import_sub", { link: source_sub }),
    video !== "auto" && `${t("form.video")}: ${t(`form.video.${video}`)}`,
    audio !== "auto" && `${t("form.audio")}: ${t(`form.audio.${audio}`)}`,
    transport !== "auto" && `${t("form.transport")}: ${t(`form.transport.${transport}`)}`,
    ...notes.map((note) => t("cameras.import_note", { note })),
  ];
  return (
    <li class="row">
      <div class="row-main">
        <strong>{name}</strong>
        {facts.filter(Boolean).map((fact) => (
          <span key={fact} class="quiet">
            {fact}
          </span>
        ))}
      </div>
    </li>
  );
}
