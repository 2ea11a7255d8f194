// Descriptions of discovered devices, and the cameras made from them.
import type { Device, DeviceProfile } from "../../api/types";
import { number } from "../../ui/i18n";
import { type Fields, fieldsOf } from "../cameras/input";

/** Returns the name of a device, or else its model or address. */
export function nameOf(device: Device): string {
  const model = [device.manufacturer, device.model].filter(Boolean).join(" ");
  return device.name || model || device.address;
}

/** Returns the description of a stream in one line. */
export function describe({ name, video_codec, width, height, frame_rate }: DeviceProfile): string {
  const size = width && height ? `${width} × ${height}` : null;
  const rate = frame_rate ? `${number(frame_rate)} fps` : null;
  return [name, video_codec?.toUpperCase(), size, rate].filter(Boolean).join(", ");
}

/** Splits a link into its parts, without credentials. */
function partsOf(link: string): { ip: string; port: string; path: string } | null {
  const [, host = "", port = "", path = ""] =
    /^rtsp:\/\/(?:[^@/]*@)?(\[[^\]]+\]|[^:/]+)(?::(\d+))?(\/.*)?$/i.exec(link) ?? [];
  return host ? { ip: host.replace(/^\[|\]$/g, ""), port, path: path || "/" } : null;
}

/**
 * Returns the form for a device: by its address if its links allow it, so that no link contains the
 * password.
 */
export function fieldsFor(device: Device, username: string, password: string): Fields {
  const common = { ...fieldsOf(null), name: nameOf(device), onvif: device.onvif };
  const main = partsOf(device.main ?? "");
  const sub = device.sub ? partsOf(device.sub) : null;
  const isTogether = main && (!device.sub || (sub?.ip === main.ip && sub.port === main.port));
  if (isTogether) {
    return { ...common, kind: "address", ...main, sub_path: sub?.path ?? "", username, password };
  }
  const credentials = username && `${[username, password].map(encodeURIComponent).join(":")}@`;
  const signed = (link: string | null | undefined) =>
    (link ?? "").replace(/^(rtsps?:\/\/)(?:[^@/]*@)?/, `$1${credentials}`);
  return {
    ...common,
    kind: "link",
    rtsp_link: signed(device.main),
    rtsp_link_sub: signed(device.sub),
  };
}
