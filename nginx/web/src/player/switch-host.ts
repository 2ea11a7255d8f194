// What a TransportSwitch needs from the player of the tile.
import type { Coded } from "../api/problem";
import type { Reason, TransportEvents } from "./transport";

export interface SwitchHost {
  /** The first picture of a transport is visible. */
  onShown(): void;
  /** The picture of the visible transport is about to disappear. */
  onHiding(): void;
  /** The stream has failed, for a reason that concerns all transports. */
  onProblem(problem: Coded): void;
  /** All transports have failed. `reason` is that of the last failure, and `cause` what the service has reported. */
  onExhausted(reason: Reason, cause?: Coded): void;
  /**
   * Events of the visible transport, or of the only one while none is visible. `away` comes from all transports: the
   * camera is away if one of them reports it.
   */
  readonly events: Pick<
    TransportEvents,
    "media" | "grown" | "restart" | "away" | "slow" | "steady"
  >;
}
