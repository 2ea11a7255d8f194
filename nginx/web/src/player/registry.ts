// The transports by name.
import type { Output } from "./host";
import type { TransportFactory, TransportName } from "./transport";
import { DeferredHlsTransport } from "./transports/deferred-hls";
import { MjpegTransport } from "./transports/mjpeg";
import { MseTransport } from "./transports/mse";
import { NativeTransport } from "./transports/native";
import { WebCodecsTransport } from "./transports/webcodecs";
import { WhepTransport } from "./transports/whep";

const FACTORIES: Record<TransportName, TransportFactory> = {
  webcodecs: (job, events) => new WebCodecsTransport(job, events),
  webrtc: (job, events) => new WhepTransport(job, events),
  mse: (job, events) => new MseTransport(job, events),
  hls: (job, events) => new DeferredHlsTransport(job, events),
  mjpeg: (job, events) => new MjpegTransport(job, events),
  native: (job, events) => new NativeTransport(job, events),
};

export function factoryOf(name: TransportName): TransportFactory {
  return FACTORIES[name];
}

/** Returns the output that a transport needs. */
export function outputFor(name: TransportName | undefined): Output {
  return name === "hls" || name === "native" ? "hls" : "none";
}
