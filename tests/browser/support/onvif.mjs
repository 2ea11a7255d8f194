// Runs the ONVIF test device of tests/camera as a child process.
import { fileURLToPath } from "node:url";

import { Child } from "./child.mjs";

const PROGRAM = fileURLToPath(new URL("../../camera/onvif.py", import.meta.url));
const START_SECONDS = 60;

/**
 * Starts an ONVIF device at `address`. `links` maps the profiles `main`, `sub` and `jpeg` to RTSP links. The
 * device is stopped at the end of the test. Returns the device's address and port, as `address:port`.
 */
export async function startDeviceFor(t, address, links, options = []) {
  const linkOptions = Object.entries(links).flatMap(([profile, link]) => [
    "--link",
    `profile_${profile}=${link}`,
  ]);
  const child = new Child(PROGRAM, ["--address", address, ...linkOptions, ...options]);
  t.after(() => child.end());
  const [, port] = await child.waitForOutput(/"event":"ready","port":(\d+)/, START_SECONDS);
  return `${address}:${port}`;
}
