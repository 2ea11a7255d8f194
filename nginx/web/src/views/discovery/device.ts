// Descriptions of discovered devices, and conversion of devices to cameras.
import { explain } from "../../api/explanation";
import type { Device, DeviceProfile } from "../../api/types";
import type { Failure } from "../../ui/failure";
import { number } from "../../ui/i18n";
import { type Fields, fieldsOf } from "../cameras/input";

/**
 * Returns the device's name, or else its manufacturer and model, or else its address.
 */
export function nameOf(device: Device): string {
  const model = [device.manufacturer, device.model].filter(Boolean).join(" ");
  return device.name || model || device.address;
}

/**
 * Returns the explanation of a device's error for which the service has sent no code. If `needsCredentials` is true,
 * the device has rejected the credentials in the request.
 */
export function failureOfDevice(detail: string, needsCredentials: boolean): Failure {
  return explain({ code: needsCredentials ? "source_unauthorized" : "onvif_failed", detail });
}

/** Describes a stream in one line. */
export function describe({ name, video_codec, width, height, frame_rate }: DeviceProfile): string {
  const size = width && height ? `${width} × ${height}` : null;
  const rate = frame_rate ? `${number(frame_rate)} fps` : null;
  return [name, video_codec?.toUpperCase(), size, rate].filter(Boolean).join(", ");
}

/** Returns the parts of a link without its credentials; null if the link is not a valid rtsp:// link. */
function partsOf(link: string): { ip: string; port: string; path: string } | null {
  const [, host = "", port = "", path = ""] =
    /^rtsp:\/\/(?:[^@/]*@)?(\[[^\]]+\]|[^:/]+)(?::(\d+))?(\/.*)?$/i.exec(link) ?? [];
  return host ? { ip: host.replace(/^\[|\]$/g, ""), port, path: path || "/" } : null;
}

/**
 * Returns the form's values for a device. If all links are valid rtsp:// links with the same host and port, the
 * values are the camera's address and paths, so that no link contains the password. Otherwise the values are the
 * links with the credentials.
 */
export function fieldsFor(device: Device, username: string, password: string): Fields {
  const common = {
    ...fieldsOf(null),
    name: nameOf(device),
    onvif: device.onvif,
    onvif_certificate: (!device.error_code && device.onvif_certificate) || "",
  };
  const main = partsOf(device.main ?? "");
  const sub = device.sub ? partsOf(device.sub) : null;
  const hasOneAddress = main && (!device.sub || (sub?.ip === main.ip && sub.port === main.port));
  if (hasOneAddress) {
    return { ...common, kind: "address", ...main, sub_path: sub?.path ?? "", username, password };
  }
  const credentials = username && `${[username, password].map(encodeURIComponent).join(":")}@`;
  const withCredentials = (link: string | null | undefined) =>
    (link ?? "").replace(/^(rtsps?:\/\/)(?:[^@/]*@)?/, `$1${credentials}`);
  return {
    ...common,
    kind: "link",
    rtsp_link: withCredentials(device.main),
    rtsp_link_sub: withCredentials(device.sub),
  };
}
