/**
 * A delivery in the browser over SSE first and polling beside it, which reports what it saw to a generation monitor.
 *
 * ```js
 * import { deliver } from "https://monitor.example/static/report.js";
 *
 * const job = await createImage(prompt); // your own create call; its answer is t = 0
 * const { result, report } = await deliver({
 *   eventsUrl: `/events/${job.id}`,
 *   read: (data) => JSON.parse(data).url,
 *   poll: async ({ signal }) => {
 *     const answer = await fetch(`/jobs/${job.id}`, { signal });
 *     if (!answer.ok) throw Object.assign(Error(answer.statusText), { reason: "unavailable" });
 *     return (await answer.json()).url;
 *   },
 *   reportTo: { url: "https://monitor.example/v1/reports", token: "gm_…" },
 *   about: { provider: "superduperai", model: "comfyui/flux" },
 * });
 * ```
 */

/**
 * Why nothing was delivered. `task_error`: the provider said that the render failed. `caller`: the person left the page,
 * or the signal was aborted. All others are told of the last poll, and count as expired.
 */
export type Reason =
  | "task_error" | "caller" | "pending" | "not_polled" | "rejected" | "unauthorized" | "not_found" | "conflict"
  | "rate_limited" | "unavailable" | "malformed" | "timeout" | "crashed";

/** Where reports go. The token is for everybody to read, so it must have the scope `report` and no other. */
export interface Destination {
  url: string;
  token?: string;
}

/** What is known of a generation beforehand. What is left out comes from the monitor's settings. */
export interface About {
  /** Yours, never used twice; a random one when it is left out. */
  id?: string;
  provider?: string;
  model?: string;
  kind?: "image" | "video";
}

/** One report, as `POST /v1/reports` takes it. */
export interface Report extends About {
  id: string;
  started_at: string | Date;
  delivered: boolean;
  channel?: "sse" | "polling" | null;
  attempts?: number;
  latency_seconds?: number | null;
  reason?: Reason | null;
}

export interface Options<T> {
  /** Opened at once, as an `EventSource`. */
  eventsUrl: string | URL;
  /** Whether cookies go along to `eventsUrl` of another origin. */
  withCredentials?: boolean;
  /**
   * The result in the data of an event, or something falsy where there is none. Default: `JSON.parse`, so that every
   * message is a result. An error is an event that could not be read, and is skipped, unless its `reason` is `task_error`.
   */
  read?(data: string): T | null | undefined | Promise<T | null | undefined>;
  /**
   * Asks once: the result, or something falsy while there is none. An error is an attempt that failed; its `reason` is
   * reported if it was the last (default `unavailable`), and `task_error` ends the delivery. `signal` is aborted at the
   * end.
   */
  poll(look: { attempt: number; signal: AbortSignal }): T | null | undefined | Promise<T | null | undefined>;
  /** Milliseconds until the first poll, unless the stream is refused before; default 10,000. */
  grace?: number;
  /** Milliseconds from poll to poll; default 10,000. */
  interval?: number;
  /** Default 6. */
  maxAttempts?: number;
  /** Milliseconds until it is given up; default 75,000. */
  window?: number;
  /** Ends it, as `caller`. */
  signal?: AbortSignal;
  reportTo: Destination;
  about?: About;
}

/** An error of `deliver`: its message is the reason. */
export interface NotDelivered extends Error {
  message: Reason;
  report: Report;
}

/**
 * The first usable result, from whichever channel has it first. Rejects with `NotDelivered`. In every case all that was
 * opened is closed, and exactly one report has been sent, also when the page is left meanwhile.
 */
export function deliver<T>(options: Options<T>): Promise<{ result: T; report: Report }>;

/** Sends reports, at most 500, with a beacon, or else with a `fetch` that outlives the page. Never throws. */
export function send(destination: Destination, ...reports: Report[]): void;
