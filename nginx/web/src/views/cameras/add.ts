// Adds a camera.
import { post, Problem } from "../../api/client";
import type { Camera } from "../../api/types";
import { hostOf, idOf, inputOf, type Fields } from "./input";

/** Ids that are tried before the person has to choose one. */
const MOST_SUFFIXES = 9;

/** Adds under the id that was given, or under one that is made of the name and free. */
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
