// A discovered device: its streams, forms for its credentials and its certificate, and buttons. The buttons take a
// picture and add the device as a camera, or show the camera if the service already knows it.
import { useState } from "preact/hooks";

import { cameraChanges } from "../../api/changes";
import type { Camera, Device } from "../../api/types";
import { FailureText } from "../../ui/failure";
import { Field } from "../../ui/fields";
import { t } from "../../ui/i18n";
import { Icon } from "../../ui/icons";
import { notify } from "../../ui/notice";
import { go, watchAddress } from "../../ui/place";
import { add } from "../cameras/add";
import { CameraForm } from "../cameras/form";
import { inputOf } from "../cameras/input";
import { TestResult, useTest } from "../cameras/test";
import { CertificateQuestion } from "../certificate";
import { ErrorText } from "../error";
import { describe, failureOfDevice, fieldsFor, nameOf } from "./device";

export interface Credentials {
  username: string;
  password: string;
}

interface DeviceRowProps {
  device: Device;
  /** The credentials from the search form, used if the user enters no user name for this device. */
  query: Credentials;
  onAdded: (device: Device, camera: Camera) => void;
  onSearchAgain: (device: Device, login: Credentials, certificate: string) => Promise<void>;
}

export function DeviceRow({ device, query, onAdded, onSearchAgain }: DeviceRowProps) {
  const [own, setOwn] = useState<Credentials>({ username: "", password: "" });
  const [isBusy, setBusy] = useState(false);
  const [isEditing, setEditing] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const test = useTest();
  const { username, password } = own.username ? own : query;
  const model = [device.manufacturer, device.model, device.firmware].filter(Boolean).join(" ");

  const attempt = async (action: () => Promise<void>) => {
    setBusy(true);
    setError(null);
    await action().catch((cause) => setError(cause));
    setBusy(false);
  };
  const fields = () => fieldsFor(device, username, password);
  const addNow = () =>
    attempt(async () => {
      const camera = await add(fields());
      cameraChanges.value += 1;
      onAdded(device, camera);
      notify(t("cameras.saved", { name: camera.name }));
    });
  const submit = (event: Event) => {
    event.preventDefault();
    void attempt(() => onSearchAgain(device, own, fields().onvif_certificate));
  };
  const confirm = (certificate: string) =>
    attempt(() => onSearchAgain(device, { username, password }, certificate));

  return (
    <li class="row device" data-device={device.address}>
      <div class="row-main">
        <strong class="name" title={nameOf(device)}>
          <bdi>{nameOf(device)}</bdi>
        </strong>
        <span class="quiet">
          {[device.address, model].filter((text) => text && text !== nameOf(device)).join(" · ")}
        </span>
        {device.profiles.map((profile) => (
          <span class="quiet" key={profile.token}>
            {describe(profile)}
            {profile.rtsp_link && profile.rtsp_link === device.main && ` – ${t("discovery.main")}`}
            {profile.rtsp_link && profile.rtsp_link === device.sub && ` – ${t("discovery.sub")}`}
          </span>
        ))}
        {device.needs_credentials && (
          <CredentialsForm value={own} isBusy={isBusy} onChange={setOwn} onSubmit={submit} />
        )}
        {device.error_code && device.onvif_certificate ? (
          <CertificateQuestion
            code={device.error_code}
            fingerprint={device.onvif_certificate}
            isBusy={isBusy}
            onConfirm={() => void confirm(device.onvif_certificate ?? "")}
          />
        ) : (
          device.error && (
            <span class="why">
              <FailureText failure={failureOfDevice(device.error, device.needs_credentials)} />
            </span>
          )
        )}
        {error !== null && (
          <span class="why" role="alert">
            <ErrorText error={error} />
          </span>
        )}
        <TestResult result={test.result} />
      </div>
      <Actions
        device={device}
        isBusy={isBusy}
        isTesting={test.result?.is === "running"}
        onTest={() => void test.run({ ...inputOf(fields(), null), profile: "main" })}
        onAdd={() => void addNow()}
        onAdjust={() => setEditing(true)}
      />
      {isEditing && (
        <CameraForm
          camera={null}
          preset={fields()}
          onClose={() => setEditing(false)}
          onSaved={(camera, watches) => {
            setEditing(false);
            onAdded(device, camera);
            notify(t("cameras.saved", { name: camera.name }));
            if (watches) {
              go(watchAddress(camera.id));
            }
          }}
        />
      )}
    </li>
  );
}

interface CredentialsFormProps {
  value: Credentials;
  isBusy: boolean;
  onChange: (value: Credentials) => void;
  onSubmit: (event: Event) => void;
}

function CredentialsForm({ value, isBusy, onChange, onSubmit }: CredentialsFormProps) {
  return (
    <form class="inline-form" onSubmit={onSubmit}>
      <span class="why">{t("discovery.needs")}</span>
      <Field
        label={t("form.username")}
        name="username"
        value={value.username}
        onInput={(username) => onChange({ ...value, username })}
        required
        autocomplete="off"
      />
      <Field
        label={t("form.password")}
        name="password"
        type="password"
        value={value.password}
        onInput={(password) => onChange({ ...value, password })}
        autocomplete="new-password"
      />
      <button type="submit" disabled={isBusy}>
        {t("discovery.ask")}
      </button>
    </form>
  );
}

interface ActionsProps {
  device: Device;
  isBusy: boolean;
  isTesting: boolean;
  onTest: () => void;
  onAdd: () => void;
  onAdjust: () => void;
}

function Actions({ device, isBusy, isTesting, onTest, onAdd, onAdjust }: ActionsProps) {
  const name = nameOf(device);
  if (device.known_as) {
    return (
      <div class="row-actions">
        <a
          class="button"
          href={watchAddress(device.known_as)}
          aria-label={t("discovery.watch_label", { name })}
        >
          <Icon name="check" />
          {t("discovery.watch")}
        </a>
      </div>
    );
  }
  return (
    <div class="row-actions">
      {device.main && (
        <>
          <button
            type="button"
            disabled={isTesting}
            onClick={onTest}
            aria-label={t("discovery.test_label", { name })}
          >
            <Icon name="photo" />
            {t("discovery.test")}
          </button>
          <button
            type="button"
            onClick={onAdjust}
            aria-label={t("discovery.adjust_label", { name })}
          >
            {t("discovery.adjust")}
          </button>
          <button
            type="button"
            class="primary"
            disabled={isBusy}
            onClick={onAdd}
            aria-label={t("discovery.add_label", { name })}
          >
            <Icon name="plus" />
            {t("discovery.add")}
          </button>
        </>
      )}
    </div>
  );
}
