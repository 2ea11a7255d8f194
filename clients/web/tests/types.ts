// Checks the declared types against the implementation, and that a program can use them. Only the compiler reads this
// file.
import type { StreamCamera as Declared } from "@stream-manager/stream-camera";

import { StreamCamera } from "../src/element";

export const declared: Declared = new StreamCamera();

export function use(fetchToken: () => Promise<string>): void {
  const camera = document.createElement("stream-camera");
  camera.server = "https://video.example.com";
  camera.camera = "gate";
  camera.getToken = fetchToken;
  camera.transport = "webrtc";
  camera.labels = { play: "Abspielen" };
  camera.addEventListener("statechange", ({ detail }) => {
    const age: number | null = detail.latency;
    camera.title = `${detail.state} ${detail.transport} ${age}`;
  });
  camera.addEventListener("error", ({ detail: { code, isRetried } }) => {
    camera.title = isRetried ? "" : code;
  });
  // @ts-expect-error: there is no such transport
  camera.transport = "rtsp";
  // @ts-expect-error: the state cannot be set
  camera.state = "playing";
  camera.play();
  document.body.append(camera);
}
