// The sections of the camera form.
import { useEffect, useState } from "preact/hooks";

import { hasRole } from "../../api/caller";
import { get } from "../../api/client";
import type { Camera, Vendor, VendorList } from "../../api/types";
import { Field, type FieldProps, Select } from "../../ui/fields";
import { isKey, type Key, t } from "../../ui/i18n";
import { canChangeLogin, type Fields, hasNewSource, idOf, isHidden } from "./input";

const OPTIONS = {
  video: ["auto", "copy", "h264"],
  audio: ["auto", "aac", "off"],
  transport: ["auto", "tcp", "udp"],
  keep: ["on_demand", "always"],
} as const;

export interface SectionProps {
  /** The saved camera; null for a new camera. */
  camera: Camera | null;
  fields: Fields;
  /** Returns a function that sets the field with this name. */
  set: (name: keyof Fields) => (value: string) => void;
}

interface FormFieldProps extends Partial<FieldProps> {
  form: SectionProps;
  name: keyof Fields;
}

/** A field of the form. The name determines the label and the value. */
export function FormField({ form, name, ...more }: FormFieldProps) {
  return (
    <Field
      label={t(`form.${name}` as Key)}
      value={form.fields[name]}
      onInput={form.set(name)}
      name={name}
      {...more}
    />
  );
}

/**
 * The fields for a camera that is given by its address. A chosen vendor provides default paths and a default
 * port.
 */
export function AddressSection(form: SectionProps) {
  const { camera, fields, set } = form;
  const vendors = useVendors();
  const vendor = vendors.find((preset) => preset.vendor === fields.vendor);
  return (
    <>
      <div class="columns">
        <Select
          label={t("form.vendor")}
          value={fields.vendor}
          onChange={set("vendor")}
          options={[
            ["", t("form.vendor_other")],
            ...vendors.map((preset) => [preset.vendor, preset.name] as [string, string]),
          ]}
        />
        <FormField form={form} name="ip" required placeholder="192.168.1.20" autocomplete="off" />
        <FormField
          form={form}
          name="port"
          type="number"
          min={1}
          max={65_535}
          placeholder={String(vendor?.port ?? 554)}
        />
      </div>
      {!vendor && !camera && <p class="hint">{t("form.vendor_hint")}</p>}
      {vendor?.notes && <p class="hint">{noteOn(vendor.vendor, vendor.notes)}</p>}
      <div class="columns">
        <FormField form={form} name="username" autocomplete="off" />
        <FormField
          form={form}
          name="password"
          type="password"
          autocomplete="new-password"
          placeholder={camera?.has_password ? t("form.kept") : ""}
        />
      </div>
      <Paths form={form} vendor={vendor} />
    </>
  );
}

/** Returns the note on a vendor's cameras in the user's language, or in English if the page has no text for the vendor. */
function noteOn(vendor: string, english: string): string {
  const key = `vendor.${vendor}`;
  return isKey(key) ? t(key) : english;
}

function Paths({ form, vendor }: { form: SectionProps; vendor: Vendor | undefined }) {
  const { path, sub_path } = form.camera ?? {};
  // A saved camera whose source does not change keeps its paths.
  const isSent = form.camera !== null && hasNewSource(form.fields, form.camera);
  const isPathMissing = isSent && isHidden(path);
  const isSubPathMissing = isSent && isHidden(sub_path);
  return (
    <>
      <div class="columns">
        <FormField
          form={form}
          name="path"
          required={isPathMissing || (!vendor && !path)}
          placeholder={(!isHidden(path) && vendor?.main) || path || "/stream1"}
        />
        <FormField
          form={form}
          name="sub_path"
          required={isSubPathMissing}
          placeholder={(!isHidden(sub_path) && vendor?.sub) || sub_path || "/stream2"}
        />
      </div>
      {(isPathMissing || isSubPathMissing) && <p class="hint">{t("form.hidden_hint")}</p>}
    </>
  );
}

function useVendors(): Vendor[] {
  const [vendors, setVendors] = useState<Vendor[]>([]);
  useEffect(() => {
    get<VendorList>("vendors").then(
      (list) => setVendors(list.vendors),
      () => {
        // The form works without the list of vendors.
      },
    );
  }, []);
  return vendors;
}

/** The fields for a camera that is given by its RTSP links. */
export function LinkSection(form: SectionProps) {
  const { camera, fields } = form;
  const hasLinks = camera !== null && camera.source !== null && !camera.ip;
  return (
    <>
      <FormField
        form={form}
        name="rtsp_link"
        required={!hasLinks || fields.rtsp_link_sub !== ""}
        placeholder={
          hasLinks ? (camera.source ?? "") : "rtsp://user:password@192.168.1.20:554/stream1"
        }
      />
      {fields.rtsp_link && !fields.rtsp_link.includes("@") && (
        <p class="hint">{t("form.link_login")}</p>
      )}
      <FormField form={form} name="rtsp_link_sub" placeholder={camera?.source_sub ?? ""} />
      {hasLinks && <p class="hint">{t("form.links_kept")}</p>}
      {hasLinks && canChangeLogin(fields, camera) && !fields.rtsp_link && <Login {...form} />}
    </>
  );
}

/** Fields that replace the user name and the password in the links of a saved camera. */
function Login(form: SectionProps) {
  return (
    <>
      <div class="columns">
        <FormField
          form={form}
          name="username"
          required={form.fields.password !== ""}
          placeholder={t("form.kept")}
          autocomplete="off"
        />
        <FormField
          form={form}
          name="password"
          type="password"
          required={form.fields.username !== ""}
          placeholder={t("form.kept")}
          autocomplete="new-password"
        />
      </div>
      <p class="hint">{t("form.login_hint")}</p>
    </>
  );
}

/** Settings that most cameras do not need. */
export function AdvancedSection(form: SectionProps) {
  const { camera, fields, set } = form;
  return (
    <details class="advanced">
      <summary>{t("form.advanced")}</summary>
      <div class="columns">
        {!camera && (
          <FormField
            form={form}
            name="id"
            pattern="[A-Za-z0-9_\-]{1,64}"
            placeholder={idOf(fields.name) || t("form.id_auto")}
          />
        )}
        {hasRole("admin") && <FormField form={form} name="owner" maxLength={200} />}
      </div>
      <div class="columns">
        {(["video", "audio", "transport", "keep"] as const).map((name) => (
          <Select
            key={name}
            label={t(`form.${name}`)}
            value={fields[name]}
            onChange={set(name)}
            options={OPTIONS[name].map((option) => [option, t(`form.${name}.${option}` as Key)])}
          />
        ))}
      </div>
    </details>
  );
}
