// Adds a camera.
import { post } from "../../api/client";
import { Problem } from "../../api/problem";
import type { Camera, CameraInput } from "../../api/types";
import { type Fields, hostOf, idOf, inputOf } from "./input";

/** Number of ids to try for a name. If all of these ids are in use, adding fails, and the user can enter an id. */
const MAX_ATTEMPTS = 9;

/**
 * Adds a camera. If the form has no id, the id is derived from the name, with a number appended if another
 * camera has that id. If the name has no usable characters, the service chooses the id. `more` are options that are not
 * fields of the form.
 */
export async function add(fields: Fields, more: Partial<CameraInput> = {}): Promise<Camera> {
  const name = fields.name.trim() || hostOf(fields);
  const input = { ...inputOf(fields, null), ...more, name };
  if (fields.id) {
    return post<Camera>("cameras", { ...input, id: fields.id });
  }
  const id = idOf(name);
  if (!id) {
    return post<Camera>("cameras", input);
  }
  for (let suffix = 1; ; suffix += 1) {
    try {
      return await post<Camera>("cameras", {
        ...input,
        id: suffix === 1 ? id : `${id.slice(0, 62)}-${suffix}`,
      });
    } catch (error) {
      const isTaken = error instanceof Problem && error.code === "camera_exists";
      if (!isTaken || suffix >= MAX_ATTEMPTS) {
        throw error;
      }
    }
  }
}
