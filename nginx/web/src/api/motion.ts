// The words with which the API names motion.
import type { Camera } from "./types";

/** The type of the events about motion. */
export const MOTION = "motion";

/** Returns whether motion is detected in front of a camera. */
export function isAnalysed({ motion }: Partial<Pick<Camera, "motion">>): boolean {
  return motion?.source === "pictures";
}
