// Finds ONVIF cameras on the network, and adds them with one press.
import { useState } from "preact/hooks";

import { LONG_MS, post, words } from "../../api/client";
import type { Camera, Device, DeviceProfile, Discovery } from "../../api/types";
import { cameraChanges } from "../../api/changes";
import { add } from "../cameras/add";
import { CameraForm } from "../cameras/form";
import { fieldsOf, type Fields } from "../cameras/input";
import { Field } from "../../ui/fields";
import { number, t } from "../../ui/i18n";
import { Icon } from "../../ui/icons";
import { Alert, Empty, tell } from "../../ui/parts";
import { watchAddress } from "../../ui/place";

interface Asked {
  interface: string;
  address: string;
  username: string;
  password: string;
}

const NOTHING: Asked = { interface: "", address: "", username: "", password: "" };

/** Empty fields are left out. */
function given(asked: Asked): Partial<Asked> {
  return Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== ""));
}

export function DiscoveryView() {
  const [asked, setAsked] = useState(NOTHING);
  const [found, setFound] = useState<Discovery | null>(null);
  const [searches, setSearches] = useState(0);
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);

  const search = async (wanted: Asked) => {
    setBusy(true);
    setError(null);
    try {
      setFound(await post<Discovery>("discovery", given(wanted), { within: LONG_MS }));
      setSearches((before) => before + 1);
    } catch (cause) {
      setError(words(cause));
    }
    setBusy(false);
  };
  const submit = (event: Event) => {
    event.preventDefault();
    void search(asked);
  };
  /** One device again, with its own user and password; the others stay. */
  const askOne = async (device: Device, username: string, password: string) => {
    const wanted = {
      interface: asked.interface,
      address: `${device.address}:${device.port}`,
      username,
      password,
    };
    const answer = await post<Discovery>("discovery", given(wanted), { within: LONG_MS });
    const [better] = answer.devices;
    if (!better) {
      throw new Error(t("discovery.gone"));
    }
    setFound(
      (before) =>
        before && {
          ...before,
          devices: before.devices.map((one) => (one === device ? better : one)),
        },
    );
  };
  const added = (device: Device, camera: Camera) =>
    setFound(
      (before) =>
        before && {
          ...before,
          devices: before.devices.map((one) =>
            one === device ? { ...one, known_as: camera.id } : one,
          ),
        },
    );
  const set = (name: keyof Asked) => (value: string) => setAsked({ ...asked, [name]: value });

  return (
    <div class="page">
      <div class="bar">
        <h1>{t("discovery.title")}</h1>
      </div>
      <p class="hint">{t("discovery.text")}</p>
      <form class="card form" onSubmit={submit}>
        <div class="columns">
          <Field
            label={t("discovery.username")}
            name="username"
            value={asked.username}
            onInput={set("username")}
            autocomplete="off"
          />
          <Field
            label={t("discovery.password")}
            name="password"
            type="password"
            value={asked.password}
            onInput={set("password")}
            autocomplete="new-password"
          />
          <Field
            label={t("discovery.address")}
            name="address"
            value={asked.address}
            onInput={set("address")}
            placeholder={t("discovery.address_example")}
          />
          {found && found.interfaces.length > 1 && (
            <Interfaces
              all={found.interfaces}
              value={asked.interface}
              onChange={set("interface")}
            />
          )}
        </div>
        <div class="actions">
          {isBusy && (
            <span class="hint" role="status">
              <span class="spinner" aria-hidden="true" /> {t("discovery.busy")}
            </span>
          )}
          <button type="submit" class="primary" disabled={isBusy}>
            <Icon name="search" />
            {t("discovery.do")}
          </button>
        </div>
      </form>
      {error && <Alert>{error}</Alert>}
      {found?.warnings.map((warning) => (
        <p class="hint" key={warning}>
          {warning}
        </p>
      ))}
      <div aria-live="polite">
        {found && <p class="unseen">{t("discovery.found", { n: found.devices.length })}</p>}
        {found?.devices.length === 0 && (
          <Empty icon="search" title={t("discovery.none")}>
            <p>{t("discovery.none_text")}</p>
          </Empty>
        )}
        {found && found.devices.length > 0 && (
          <ul class="list">
            {/* A new search begins rows anew: what was typed there may have been wrong. */}
            {found.devices.map((device) => (
              <DeviceRow
                key={`${searches}/${device.address}:${device.port}`}
                device={device}
                asked={asked}
                onAdded={added}
                onAsk={askOne}
              />
            ))}
          </ul>
        )}
      </div>
    </div>
  );
}

function Interfaces({
  all,
  value,
  onChange,
}: {
  all: string[];
  value: string;
  onChange: (value: string) => void;
}) {
  return (
    <label class="field">
      {t("discovery.interface")}
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        <option value="">{t("discovery.all_interfaces")}</option>
        {all.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
    </label>
  );
}

interface DeviceRowProps {
  device: Device;
  asked: Asked;
  onAdded: (device: Device, camera: Camera) => void;
  onAsk: (device: Device, username: string, password: string) => Promise<void>;
}

function nameOf(device: Device): string {
  const model = [device.manufacturer, device.model].filter(Boolean).join(" ");
  return device.name || model || device.address;
}

function describe({ name, video_codec, width, height, frame_rate }: DeviceProfile): string {
  const size = width && height ? `${width} × ${height}` : null;
  const rate = frame_rate ? `${number(frame_rate)} fps` : null;
  return [name, video_codec?.toUpperCase(), size, rate].filter(Boolean).join(", ");
}

/** A link in parts, without the user and password that it may hold. */
function partsOf(link: string): { ip: string; port: string; path: string } | null {
  const [, host = "", port = "", path = ""] =
    /^rtsp:\/\/(?:[^@/]*@)?(\[[^\]]+\]|[^:/]+)(?::(\d+))?(\/.*)?$/i.exec(link) ?? [];
  return host ? { ip: host.replace(/^\[|\]$/g, ""), port, path: path || "/" } : null;
}

/** The device as a new camera: by its address where its links allow, so that no password stands in a link. */
function fieldsFor(device: Device, username: string, password: string): Fields {
  const common = { ...fieldsOf(null), name: nameOf(device), onvif: device.onvif };
  const main = partsOf(device.main ?? "");
  const sub = device.sub ? partsOf(device.sub) : null;
  const isTogether = main && (!device.sub || (sub?.ip === main.ip && sub.port === main.port));
  if (isTogether) {
    return { ...common, way: "address", ...main, sub_path: sub?.path ?? "", username, password };
  }
  const credentials = username && `${[username, password].map(encodeURIComponent).join(":")}@`;
  const signed = (link: string | null) =>
    (link ?? "").replace(/^(rtsps?:\/\/)(?:[^@/]*@)?/, `$1${credentials}`);
  return {
    ...common,
    way: "link",
    rtsp_link: signed(device.main),
    rtsp_link_sub: signed(device.sub),
  };
}

function DeviceRow({ device, asked, onAdded, onAsk }: DeviceRowProps) {
  const [own, setOwn] = useState({ username: "", password: "" });
  const [isBusy, setBusy] = useState(false);
  const [isEditing, setEditing] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const { username, password } = own.username ? own : asked;
  const model = [device.manufacturer, device.model, device.firmware].filter(Boolean).join(" ");

  const doing = async (action: () => Promise<void>) => {
    setBusy(true);
    setError(null);
    await action().catch((cause) => setError(words(cause)));
    setBusy(false);
  };
  const addNow = () =>
    doing(async () => {
      const camera = await add(fieldsFor(device, username, password));
      cameraChanges.value += 1;
      onAdded(device, camera);
      tell(t("cameras.saved", { name: camera.name }));
    });
  const ask = (event: Event) => {
    event.preventDefault();
    void doing(() => onAsk(device, own.username, own.password));
  };

  return (
    <li class="row device" data-device={device.address}>
      <div class="row-main">
        <strong>{nameOf(device)}</strong>
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
          <form class="inline-form" onSubmit={ask}>
            <span class="why">{t("discovery.needs")}</span>
            <Field
              label={t("form.username")}
              name="username"
              value={own.username}
              onInput={(value) => setOwn({ ...own, username: value })}
              required
              autocomplete="off"
            />
            <Field
              label={t("form.password")}
              name="password"
              type="password"
              value={own.password}
              onInput={(value) => setOwn({ ...own, password: value })}
              autocomplete="new-password"
            />
            <button type="submit" disabled={isBusy}>
              {t("discovery.ask")}
            </button>
          </form>
        )}
        {device.error && <span class="why">{device.error}</span>}
        {error && (
          <span class="why" role="alert">
            {error}
          </span>
        )}
      </div>
      <div class="row-actions">
        {device.known_as ? (
          <a
            class="button"
            href={watchAddress(device.known_as)}
            aria-label={t("cameras.watch_label", { name: nameOf(device) })}
          >
            <Icon name="check" />
            {t("discovery.watch")}
          </a>
        ) : device.main ? (
          <>
            <button
              type="button"
              onClick={() => setEditing(true)}
              aria-label={t("discovery.adjust_label", { name: nameOf(device) })}
            >
              {t("discovery.adjust")}
            </button>
            <button
              type="button"
              class="primary"
              disabled={isBusy}
              onClick={() => void addNow()}
              aria-label={t("discovery.add_label", { name: nameOf(device) })}
            >
              <Icon name="plus" />
              {t("discovery.add")}
            </button>
          </>
        ) : null}
      </div>
      {isEditing && (
        <CameraForm
          camera={null}
          preset={fieldsFor(device, username, password)}
          onClose={() => setEditing(false)}
          onSaved={(camera) => {
            setEditing(false);
            onAdded(device, camera);
            tell(t("cameras.saved", { name: camera.name }));
          }}
        />
      )}
    </li>
  );
}
