// Runs in the browser page: plays a stream with one of the transports of the service's own page. player.mjs bundles
// this script with the page's modules.
import { signal } from "../../nginx/web/src/player/signals";
import { LineMeter } from "../../nginx/web/src/player/line";
import { factoryOf } from "../../nginx/web/src/player/registry";
import { Screen } from "../../nginx/web/src/player/screen";

/** The interval at which the service's page calls `keepUp`. */
const KEEP_UP_MILLISECONDS = 200;

/**
 * Starts a transport. Returns its element. `path` replaces the path of this service's stream. `onPicture` and `onFailure`
 * are called as in the page.
 */
globalThis.playTransport = (name, { key, path }, { onPicture, onFailure }) => {
  const nothing = () => undefined;
  const events = {
    picture: onPicture,
    failed: ({ reason, problem }) => onFailure(problem?.code ?? reason),
    accepted: nothing,
    media: nothing,
    grown: nothing,
    restart: nothing,
    away: nothing,
    slow: nothing,
    steady: nothing,
  };
  const screen = new Screen(document.querySelector("video"));
  const volume = signal(1);
  // Watching needs no permission.
  const addressOf = (stream, file) => {
    return new URL(path ?? `streams/${stream}/${file}`, document.baseURI).href;
  };
  const host = { volume, addressOf, withPermission: (url) => url, renew: () => Promise.resolve() };
  const sound = { isOn: false, volume };
  const meter = new LineMeter();
  const job = { host, key, screen, sound, meter, isLowLatency: true, isWall: false };
  const transport = factoryOf(name)(job, events);
  transport.start();
  screen.show(transport.element);
  setInterval(() => transport.keepUp(), KEEP_UP_MILLISECONDS);
  return transport.element;
};
