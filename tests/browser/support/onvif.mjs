// The ONVIF test device, which lists the streams of a camera.
import { fileURLToPath } from "node:url";

import { Child } from "./child.mjs";

const PROGRAM = fileURLToPath(new URL("../../camera/onvif.py", import.meta.url));
const START_SECONDS = 60;

/** Starts a device with these links by profile, until the test ends; returns its address with the port. */
export async function startDeviceFor(t, address, links, options = []) {
  const linkOptions = Object.entries(links).flatMap(([profile, link]) => [
    "--link",
    `profile_${profile}=${link}`,
  ]);
  const child = new Child(PROGRAM, ["--address", address, ...linkOptions, ...options]);
  t.after(() => child.end());
  const [, port] = await child.says(/"event":"ready","port":(\d+)/, START_SECONDS);
  return `${address}:${port}`;
}
