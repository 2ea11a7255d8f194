// The form that adds a camera or changes one.
import { useState } from "preact/hooks";

import { cameraChanges } from "../../api/changes";
import { LONG_MS, put } from "../../api/client";
import { Problem } from "../../api/problem";
import type { Camera, MotionOptions, RecordingOptions } from "../../api/types";
import { t } from "../../ui/i18n";
import { Dialog } from "../../ui/parts";
import { CertificateQuestion } from "../certificate";
import { ErrorAlert } from "../error";
import { add } from "./add";
import { type Fields, fieldsOf, inputOf, type SourceKind } from "./input";
import { MotionSection, NO_MOTION } from "./motion";
import { RecordingSection } from "./recording";
import { AddressSection, AdvancedSection, FormField, LinkSection } from "./sections";
import { pictureOf, TestResult, useTest } from "./test";

interface FormProps {
  /** The camera to change; null to add a camera. */
  camera: Camera | null;
  /** Values of a new camera that are already known, for example from a discovery. */
  preset?: Partial<Fields>;
  onClose: () => void;
  onSaved: (camera: Camera, watches: boolean) => void;
}

const KINDS: SourceKind[] = ["address", "link"];

export function CameraForm({ camera, preset, onClose, onSaved }: FormProps) {
  const [initial] = useState<Fields>(() => ({ ...fieldsOf(camera), ...preset }));
  const [fields, setFields] = useState(initial);
  const [recording, setRecording] = useState<RecordingOptions | null>(camera?.recording ?? null);
  const [motion, setMotion] = useState<MotionOptions>(camera?.motion ?? NO_MOTION);
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  /** Whether the user wants to watch the camera after it is saved. */
  const [watchesNext, setWatching] = useState(false);
  const test = useTest();

  const set = (name: keyof Fields) => (value: string) => {
    // If the user enters a whole link as the address, the form switches to the fields for links.
    const isLink = name === "ip" && /^rtsps?:\/\//i.test(value);
    setFields((before) =>
      isLink ? { ...before, kind: "link", ip: "", rtsp_link: value } : { ...before, [name]: value },
    );
    test.reset();
  };
  const runTest = (event: MouseEvent & { currentTarget: HTMLButtonElement }) => {
    if (event.currentTarget.form?.reportValidity()) {
      void test.run({
        ...inputOf(fields, camera),
        ...(camera && { id: camera.id }),
        profile: "main",
      });
    }
  };
  const save = async (watches: boolean, certificate = fields.onvif_certificate) => {
    setBusy(true);
    setError(null);
    setWatching(watches);
    const confirmed = { ...fields, onvif_certificate: certificate };
    try {
      // A new camera without this option gets the default of the service, and a known camera keeps its option.
      const more = { ...(recording && { recording }), motion };
      const saved = camera
        ? await put<Camera>(
            `cameras/${camera.id}`,
            { ...inputOf(confirmed, camera), ...more },
            { within: LONG_MS },
          )
        : await add(confirmed, more);
      cameraChanges.value += 1;
      onSaved(saved, watches);
    } catch (cause) {
      setError(cause);
      setBusy(false);
    }
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    void save((event.submitter as HTMLButtonElement | null)?.value === "watch");
  };
  const form = { camera, fields, set };
  const question =
    error instanceof Problem && error.certificate
      ? { code: error.code, fingerprint: error.certificate }
      : null;

  return (
    <Dialog
      title={camera ? t("form.edit", { name: camera.name }) : t("camera.add")}
      isChanged={
        JSON.stringify([fields, recording, motion]) !==
        JSON.stringify([initial, camera?.recording ?? null, camera?.motion ?? NO_MOTION])
      }
      onClose={onClose}
    >
      <form class="form" onSubmit={submit}>
        <FormField
          form={form}
          name="name"
          maxLength={200}
          placeholder={t("form.name_example")}
          autofocus
        />
        <fieldset class="segments" aria-label={t("form.kind")}>
          {KINDS.map((kind) => (
            <button
              type="button"
              key={kind}
              aria-pressed={fields.kind === kind}
              onClick={() => set("kind")(kind)}
            >
              {t(`form.kind.${kind}`)}
            </button>
          ))}
        </fieldset>
        {fields.kind === "address" ? <AddressSection {...form} /> : <LinkSection {...form} />}
        <p class="hint">{t("form.sub_hint")}</p>
        <RecordingSection
          value={recording}
          hasMotion={motion.source !== "off"}
          onChange={setRecording}
        />
        <MotionSection
          camera={camera}
          hasSub={Boolean(camera?.source_sub ?? (fields.sub_path || fields.rtsp_link_sub))}
          tested={pictureOf(test.result)}
          value={motion}
          onChange={setMotion}
        />
        <AdvancedSection {...form} />
        <TestResult result={test.result} />
        {question ? (
          <CertificateQuestion
            {...question}
            isBusy={isBusy}
            onConfirm={() => void save(watchesNext, question.fingerprint)}
          />
        ) : (
          <ErrorAlert error={error} />
        )}
        <div class="actions">
          <button type="button" disabled={test.result?.is === "running"} onClick={runTest}>
            {t("form.test")}
          </button>
          <span class="gap" />
          {!camera && (
            <button type="submit" class="primary" value="watch" disabled={isBusy}>
              {t("form.save_watch")}
            </button>
          )}
          <button type="submit" class={camera ? "primary" : ""} value="save" disabled={isBusy}>
            {t("form.save")}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
