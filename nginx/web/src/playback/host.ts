// Connects the players of this page to the API.
import { addressOf } from "../api/address";
import { cameraChanges } from "../api/changes";
import type { Host } from "../player/host";
import { Refusals } from "../player/refused";
import { learnOffers, webRtcOffered } from "./offers";
import {
  addPlayer,
  newestSession,
  obtainPermission,
  removePlayer,
  renew,
  withToken,
} from "./permission";
import { start } from "./start";
import { volume } from "./volume";

/** The refusals of all tiles, remembered while the page is open. */
export const refusals = new Refusals();

// A change of a camera may have corrected the cause.
cameraChanges.subscribe(() => refusals.clear());

export const host: Host = {
  volume,
  refusals,
  newestPermission: newestSession,
  addPlayer,
  removePlayer,
  obtainPermission,
  renew,
  addressOf: (key, file) => withToken(addressOf(`streams/${key}/${file}`)),
  withPermission: withToken,
  webRtcOffered,
  learnOffers,
  start,
};
