// Where recordings come from: the service, with the page's permission, or with the token of a share link.
import { addressOf } from "../../api/address";
import { Problem, problemOf } from "../../api/problem";
import { addPlayer, obtainPermission, removePlayer, renew, withToken } from "../permission";

export type Query = Record<string, string | number>;

export interface Source {
  /** The time outside of which the service refuses requests, in Unix milliseconds; null without a limit. */
  readonly limit: { from: number; to: number } | null;
  /** Keeps the permission for the camera until the returned function is called. */
  hold(camera: string): () => void;
  /** Resolves when recordings of the camera can be requested. */
  ready(camera: string): Promise<void>;
  /** Returns the absolute URL of a file of a stream, such as `stream.m3u8`. */
  addressOf(stream: string, file: string, query: Query): string;
  /** Returns the URL with the current token. A playlist contains the token with which it was requested. */
  current(address: string): string;
  /** Replaces the token after the service has rejected it. */
  renew(): Promise<void>;
}

/** Recordings with the page's own permission. */
export const ownSource: Source = {
  limit: null,
  hold: (camera) => {
    addPlayer(camera);
    return () => removePlayer(camera);
  },
  ready: obtainPermission,
  addressOf: (stream, file, query) =>
    withToken(addressOf(`recordings/${stream}/${file}${textOf(query)}`)),
  current: withToken,
  renew,
};

/** Recordings of a limited time with the token of a share link, which cannot be renewed. */
export function sharedSource(token: string, limit: { from: number; to: number }): Source {
  return {
    limit,
    hold: () => () => undefined,
    ready: async () => undefined,
    addressOf: (stream, file, query) =>
      addressOf(`play/${encodeURIComponent(token)}/${stream}/recordings/${file}${textOf(query)}`),
    current: (address) => address,
    renew: async () => undefined,
  };
}

function textOf(query: Query): string {
  const values = Object.entries(query).map(([name, value]) => [name, String(value)]);
  return values.length > 0 ? `?${new URLSearchParams(values)}` : "";
}

/** Returns the id of a camera, of which `stream` is the main stream or the sub stream. */
export function cameraOf(stream: string): string {
  return stream.replace(/~sub$/, "");
}

/** Returns a time in Unix milliseconds as the API takes it. */
export function timeText(date: number): string {
  return new Date(Math.round(date)).toISOString();
}

/** Returns the query for a time, as far as it can be requested. Throws a Problem if no part of it can. */
export function queryFor({ limit }: Source, from: number, to: number): Query {
  const begin = Math.max(0, from, limit?.from ?? 0);
  const end = Math.min(to, limit?.to ?? to);
  if (begin >= end) {
    throw new Problem(404, "no_recordings");
  }
  return { from: timeText(begin), to: timeText(end) };
}

/** The query of a playlist whose video the service converts to H.264. */
export const CONVERTED: Query = { codec: "h264" };

const READ_MS = 10_000;

/** Requests a JSON file of a stream's recordings. */
export function readFile<T>(
  source: Source,
  stream: string,
  file: string,
  query: Query,
): Promise<T> {
  const address = () => source.addressOf(stream, file, query);
  return withPermission(source, stream, () =>
    send(address(), {}, READ_MS, (response) => response.json()),
  );
}

/** Sends a request for a stream, and once more with a new token if the service has rejected the token. */
export async function withPermission<T>(
  source: Source,
  stream: string,
  attempt: () => Promise<T>,
): Promise<T> {
  await source.ready(cameraOf(stream));
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401) {
      throw error;
    }
  }
  await source.renew();
  return attempt();
}

/**
 * Requests a file within a time in milliseconds, in which `read` must have read what it needs. Throws a Problem if the
 * service refuses or does not respond.
 */
export async function send<T>(
  address: string,
  headers: Record<string, string>,
  within: number,
  read: (response: Response) => T | Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), within);
  try {
    const response = await fetch(address, { headers, signal: limit.signal });
    if (response.ok) {
      return await read(response);
    }
    const { status } = response;
    const problem = problemOf(status, await response.text().catch(() => ""));
    throw problem ?? new Problem(status, "bad_answer", `HTTP ${status}`);
  } catch (error) {
    if (error instanceof Problem) {
      throw error;
    }
    throw new Problem(0, error instanceof SyntaxError ? "bad_answer" : "unreachable");
  } finally {
    clearTimeout(timer);
  }
}
