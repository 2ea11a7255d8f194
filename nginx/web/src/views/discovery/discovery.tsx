// The view that finds ONVIF cameras on the network, or queries one by its address.
import { useState } from "preact/hooks";

import { LONG_MS, post } from "../../api/client";
import { Problem } from "../../api/problem";
import type { Camera, Device, Discovery } from "../../api/types";
import { Field } from "../../ui/fields";
import { plural, t } from "../../ui/i18n";
import { Icon } from "../../ui/icons";
import { notify } from "../../ui/notice";
import { Empty } from "../../ui/parts";
import { go, watchAddress } from "../../ui/place";
import { CameraForm } from "../cameras/form";
import { hostOfService } from "../cameras/input";
import { ErrorAlert } from "../error";
import { type Credentials, DeviceRow } from "./device-row";

/** The fields of the search form. Empty fields are not sent, so that the service uses its defaults. */
interface Query {
  interface: string;
  address: string;
  username: string;
  password: string;
}

/** The beginning of the service's warning about an empty result. The view itself explains an empty result. */
const NONE_FOUND = "no camera responded";
const EMPTY: Query = { interface: "", address: "", username: "", password: "" };

function discover(query: Query & { onvif_certificate?: string }): Promise<Discovery> {
  const filled = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== ""));
  return post<Discovery>("discovery", filled, { within: LONG_MS });
}

export function DiscoveryView() {
  const [query, setQuery] = useState(EMPTY);
  const [found, setFound] = useState<Discovery | null>(null);
  const [searchCount, setSearchCount] = useState(0);
  const [isBusy, setBusy] = useState(false);
  /** Whether the form for a camera that the search has not found is open. */
  const [isAdding, setAdding] = useState(false);
  const [error, setError] = useState<unknown>(null);

  const search = async () => {
    setBusy(true);
    setError(null);
    try {
      setFound(await discover(query));
      setSearchCount((before) => before + 1);
    } catch (cause) {
      setError(cause);
    }
    setBusy(false);
  };
  const submit = (event: Event) => {
    event.preventDefault();
    void search();
  };
  const replace = (device: Device, updated: Device) =>
    setFound((before) => {
      const devices = before?.devices.map((other) => (other === device ? updated : other));
      return before && { ...before, devices: devices ?? [] };
    });
  /**
   * Queries one device again with these credentials and with the fingerprint of the certificate that the user has
   * confirmed, and replaces the device's entry in the list. The fingerprint is empty if no certificate is confirmed.
   */
  const searchAgain = async (device: Device, login: Credentials, certificate: string) => {
    const result = await discover({
      ...login,
      interface: query.interface,
      address: device.onvif,
      onvif_certificate: certificate,
    });
    const [updated] = result.devices;
    if (!updated) {
      throw new Problem(0, "device_gone");
    }
    // Devices report their name only in response to a search, and not to a query of their address.
    replace(device, { ...updated, name: updated.name ?? device.name ?? null });
  };
  const onAdded = (device: Device, camera: Camera) =>
    replace(device, { ...device, known_as: camera.id });
  const warnings = found?.warnings.filter((warning) => !warning.startsWith(NONE_FOUND)) ?? [];
  const set = (name: keyof Query) => (value: string) => setQuery({ ...query, [name]: value });

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
            value={query.username}
            onInput={set("username")}
            autocomplete="off"
          />
          <Field
            label={t("discovery.password")}
            name="password"
            type="password"
            value={query.password}
            onInput={set("password")}
            autocomplete="new-password"
          />
          <Field
            label={t("discovery.address")}
            name="address"
            value={query.address}
            onInput={set("address")}
            placeholder={t("discovery.address_example")}
          />
          <Interfaces
            all={found?.interfaces ?? []}
            value={query.interface}
            onChange={set("interface")}
          />
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
      <ErrorAlert error={error} />
      {warnings.map((warning) => (
        <p class="hint" lang="en" key={warning}>
          {warning}
        </p>
      ))}
      <div aria-live="polite">
        {found?.devices.length === 0 && <NothingFound onAdd={() => setAdding(true)} />}
        {found && found.devices.length > 0 && (
          <p class="hint">{plural("discovery.found", found.devices.length)}</p>
        )}
        {found && found.devices.length > 0 && (
          <ul class="list">
            {/* The key of a row changes with each search, so that a new search clears the row's fields. */}
            {found.devices.map((device) => (
              <DeviceRow
                key={`${searchCount}/${device.address}:${device.port}`}
                device={device}
                query={query}
                onAdded={onAdded}
                onSearchAgain={searchAgain}
              />
            ))}
          </ul>
        )}
      </div>
      {isAdding && (
        <CameraForm
          camera={null}
          preset={{ ip: addressOf(query), username: query.username, password: query.password }}
          onClose={() => setAdding(false)}
          onSaved={(camera, watches) => {
            setAdding(false);
            notify(t("cameras.saved", { name: camera.name }));
            if (watches) {
              go(watchAddress(camera.id));
            }
          }}
        />
      )}
    </div>
  );
}

/**
 * Returns the camera's address from the field of the form, which may also contain a port, or the URL of an ONVIF
 * service.
 */
function addressOf({ address }: Query): string {
  const isBareIpv6 = /^[^[/]*:[^[/]*:/.test(address);
  return isBareIpv6 ? address : hostOfService(address);
}

/** The explanation of an empty result, with a button to add a camera that the search does not find. */
function NothingFound({ onAdd }: { onAdd: () => void }) {
  return (
    <Empty icon="search" title={t("discovery.none")}>
      <p>{t("discovery.none_text")}</p>
      <div class="actions centered">
        <button type="button" onClick={onAdd}>
          <Icon name="plus" />
          {t("discovery.add_by_address")}
        </button>
      </div>
    </Empty>
  );
}

/** The choice of the network to search. Before the first search, the service has not listed its networks. */
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
        {all.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
