// Adds a camera.
import { post } from "../../api/client";
import { Problem } from "../../api/problem";
import type { Camera } from "../../api/types";
import { type Fields, hostOf, idOf, inputOf } from "./input";

/** Number of ids that are tried before the user has to choose one. */
const MOST_SUFFIXES = 9;

/** Adds a camera with the given id, or with a free one that is derived from its name. */
export async function add(fields: Fields): Promise<Camera> {
  const name = fields.name.trim() || hostOf(fields);
  const input = { ...inputOf(fields), name };
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
      if (!isTaken || suffix >= MOST_SUFFIXES) {
        throw error;
      }
    }
  }
}
