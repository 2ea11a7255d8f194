// Adds a camera or changes one.
import { useEffect, useRef, useState } from "preact/hooks";

import { may } from "../../api/caller";
import { get, LONG_MS, post, put, words } from "../../api/client";
import type { Camera, Tested, Vendor } from "../../api/types";
import { Field, Select, type FieldProps } from "../../ui/fields";
import { number, t, type Key } from "../../ui/i18n";
import { Icon } from "../../ui/icons";
import { Alert, Dialog } from "../../ui/parts";
import { cameraChanges } from "../../api/changes";
import { add } from "./add";
import { fieldsOf, idOf, inputOf, isHidden, type Fields, type Way } from "./input";

const OPTIONS = {
  video: ["auto", "copy", "h264"],
  audio: ["auto", "aac", "off"],
  transport: ["auto", "tcp", "udp"],
} as const;

interface FormProps {
  /** Null to add one. */
  camera: Camera | null;
  /** Filled in beforehand, as from a discovery. */
  preset?: Partial<Fields>;
  onClose: () => void;
  onSaved: (camera: Camera, watches: boolean) => void;
}

type Result = { is: "busy" } | { is: "fine"; tested: Tested } | { is: "wrong"; why: string };

export function CameraForm({ camera, preset, onClose, onSaved }: FormProps) {
  const [fields, setFields] = useState<Fields>(() => ({ ...fieldsOf(camera), ...preset }));
  const [vendors, setVendors] = useState<Vendor[]>([]);
  const [result, setResult] = useState<Result | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  const testing = useRef<AbortController | null>(null);

  // A test whose answer would be of no use shall not hold the camera.
  useEffect(() => () => testing.current?.abort(), []);
  useEffect(() => {
    get<{ vendors: Vendor[] }>("vendors").then(
      (answer) => setVendors(answer.vendors),
      () => {},
    );
  }, []);

  const set = (name: keyof Fields) => (value: string) => {
    // A whole link where an address is asked for is meant well.
    const isLink = name === "ip" && /^rtsps?:\/\//i.test(value);
    setFields((before) =>
      isLink ? { ...before, way: "link", ip: "", rtsp_link: value } : { ...before, [name]: value },
    );
    testing.current?.abort();
    setResult(null);
  };
  const test = async () => {
    setResult({ is: "busy" });
    const { signal } = (testing.current = new AbortController());
    const input = { ...inputOf(fields), ...(camera && { id: camera.id }), profile: "main" };
    try {
      setResult({
        is: "fine",
        tested: await post<Tested>("cameras/test", input, { signal, within: LONG_MS }),
      });
    } catch (cause) {
      if (!signal.aborted) {
        setResult({ is: "wrong", why: words(cause) });
      }
    }
  };
  const save = async (watches: boolean) => {
    setBusy(true);
    setError(null);
    try {
      const saved = camera
        ? await put<Camera>(`cameras/${camera.id}`, inputOf(fields), { within: LONG_MS })
        : await add(fields);
      cameraChanges.value += 1;
      onSaved(saved, watches);
    } catch (cause) {
      setError(words(cause));
      setBusy(false);
    }
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    void save((event.submitter as HTMLButtonElement | null)?.value === "watch");
  };
  const field = (name: keyof Fields, more: Partial<FieldProps> = {}) => (
    <Field
      label={t(`form.${name}` as Key)}
      value={fields[name]}
      onInput={set(name)}
      name={name}
      {...more}
    />
  );
  const vendor = vendors.find((one) => one.vendor === fields.vendor);
  const hasHidden = { path: isHidden(camera?.path), sub_path: isHidden(camera?.sub_path) };

  return (
    <Dialog
      title={camera ? t("form.edit", { name: camera.name }) : t("camera.add")}
      onClose={onClose}
    >
      <form class="form" onSubmit={submit}>
        {field("name", { maxLength: 200, placeholder: t("form.name_example"), autofocus: true })}
        <fieldset class="segments" aria-label={t("form.way")}>
          {(["address", "link"] as Way[]).map((way) => (
            <button
              type="button"
              key={way}
              aria-pressed={fields.way === way}
              onClick={() => set("way")(way)}
            >
              {t(`form.way.${way}`)}
            </button>
          ))}
        </fieldset>
        {fields.way === "address" ? (
          <>
            <div class="columns">
              <Select
                label={t("form.vendor")}
                value={fields.vendor}
                onChange={set("vendor")}
                options={[
                  ["", t("form.vendor_other")],
                  ...vendors.map((one) => [one.vendor, one.name] as [string, string]),
                ]}
              />
              {field("ip", { required: true, placeholder: "192.168.1.20", autocomplete: "off" })}
              {field("port", {
                type: "number",
                min: 1,
                max: 65535,
                placeholder: String(vendor?.port ?? 554),
              })}
            </div>
            {!vendor && !camera && <p class="hint">{t("form.vendor_hint")}</p>}
            {vendor?.notes && <p class="hint">{vendor.notes}</p>}
            <div class="columns">
              {field("username", { autocomplete: "off" })}
              {field("password", {
                type: "password",
                autocomplete: "new-password",
                placeholder: camera?.has_password ? t("form.kept") : "",
              })}
            </div>
            <div class="columns">
              {field("path", {
                required: (!vendor && !camera?.path) || hasHidden.path,
                placeholder: (!hasHidden.path && vendor?.main) || camera?.path || "/stream1",
              })}
              {field("sub_path", {
                required: hasHidden.sub_path,
                placeholder: (!hasHidden.sub_path && vendor?.sub) || camera?.sub_path || "/stream2",
              })}
            </div>
            {(hasHidden.path || hasHidden.sub_path) && <p class="hint">{t("form.hidden_hint")}</p>}
          </>
        ) : (
          <>
            {field("rtsp_link", {
              required: !camera?.source || camera.ip !== undefined || fields.rtsp_link_sub !== "",
              placeholder:
                camera && !camera.ip
                  ? (camera.source ?? "")
                  : "rtsp://user:password@192.168.1.20:554/stream1",
            })}
            {fields.rtsp_link && !fields.rtsp_link.includes("@") && (
              <p class="hint">{t("form.link_login")}</p>
            )}
            {field("rtsp_link_sub", { placeholder: camera?.source_sub ?? "" })}
            {camera?.source && !camera.ip && <p class="hint">{t("form.links_kept")}</p>}
          </>
        )}
        <p class="hint">{t("form.sub_hint")}</p>
        <details class="advanced">
          <summary>{t("form.advanced")}</summary>
          <div class="columns">
            {!camera &&
              field("id", {
                pattern: "[A-Za-z0-9_\\-]{1,64}",
                placeholder: idOf(fields.name) || t("form.id_auto"),
              })}
            {may("admin") && field("owner", { maxLength: 200 })}
          </div>
          <div class="columns">
            {(["video", "audio", "transport"] as const).map((name) => (
              <Select
                key={name}
                label={t(`form.${name}`)}
                value={fields[name]}
                onChange={set(name)}
                options={OPTIONS[name].map((option) => [
                  option,
                  t(`form.${name}.${option}` as Key),
                ])}
              />
            ))}
          </div>
        </details>
        <TestResult result={result} />
        {error && <Alert>{error}</Alert>}
        <div class="actions">
          <button
            type="button"
            disabled={result?.is === "busy"}
            onClick={(event) => event.currentTarget.form?.reportValidity() && void test()}
          >
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

function TestResult({ result }: { result: Result | null }) {
  return (
    <div class="test-result" role="status" aria-live="polite">
      {result?.is === "busy" && (
        <p class="hint">
          <span class="spinner" aria-hidden="true" /> {t("form.testing")}
        </p>
      )}
      {result?.is === "wrong" && <Alert>{result.why}</Alert>}
      {result?.is === "fine" && <Fine tested={result.tested} />}
    </div>
  );
}

function Fine({ tested }: { tested: Tested }) {
  const { width, height, video_codec, frame_rate, audio_codec, still, took_seconds } = tested;
  const facts = [
    `${width} × ${height}`,
    video_codec.toUpperCase(),
    frame_rate ? `${number(frame_rate)} fps` : null,
    audio_codec ? audio_codec.toUpperCase() : t("form.no_audio"),
  ];
  return (
    <div class="fine">
      {still && (
        <img
          src={`data:image/jpeg;base64,${still}`}
          alt={t("form.still")}
          width={width}
          height={height}
        />
      )}
      <div>
        <strong>
          <Icon name="check" />
          {t("form.fine")}
        </strong>
        <p>{facts.filter(Boolean).join(", ")}</p>
        <p class="hint">{t("form.took", { n: number(took_seconds, 1) })}</p>
      </div>
    </div>
  );
}
