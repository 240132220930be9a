/**
 * Delivers over SSE first and polling beside it, and reports what it saw. Types, and how to use it: report.d.ts.
 * Served without comments and indentation, so each comment has lines of its own.
 */

/** @type {import("./report.js").send} */
export const send = ({ url, token }, ...reports) => {
  const body = JSON.stringify({ token, sent_at: new Date(), reports });
  try {
    // Plain text: the browser sends it without asking first, so it also leaves with the page.
    if (navigator.sendBeacon(url, body)) return;
  } catch {}
  fetch(url, { method: "POST", body, keepalive: true }).catch(() => {});
};

/** @type {import("./report.js").deliver} */
export const deliver = ({
  eventsUrl, withCredentials, read = JSON.parse, poll, grace = 1e4, interval = 1e4, maxAttempts = 6, window = 75e3,
  signal, reportTo, about,
}) => new Promise((resolve, reject) => {
  const started_at = new Date(), begun = performance.now(), over = new AbortController();
  // `randomUUID` is only there over HTTPS.
  const id = crypto.getRandomValues(new Uint32Array(4)).join("-");
  let attempts = 0, missed = "not_polled", source, timer, last;

  // The first call counts, and closes everything.
  const end = (reason, channel = null, result) => {
    if (over.signal.aborted) return;
    over.abort();
    source?.close();
    clearTimeout(timer);
    clearTimeout(last);
    const latency_seconds = (performance.now() - begun) / 1e3;
    const report = { id, ...about, started_at, delivered: !reason, channel, attempts, latency_seconds, reason };
    send(reportTo, report);
    if (reason) reject(Object.assign(Error(reason), { report }));
    else resolve({ result, report });
  };
  const leave = () => end("caller");
  // One look at what a channel shows; returns why it was not the result.
  const look = async (channel, ask) => {
    try {
      const found = await ask();
      if (found) end(null, channel, found);
      return "pending";
    } catch (error) {
      const why = error?.reason ?? "unavailable";
      if (why == "task_error") end(why, channel);
      return why;
    }
  };
  const next = async () => {
    clearTimeout(timer);
    if (attempts >= maxAttempts) return;
    timer = setTimeout(next, interval);
    missed = await look("polling", () => poll({ attempt: ++attempts, signal: over.signal }));
  };

  if (signal?.aborted) return leave();
  source = new EventSource(eventsUrl, { withCredentials });
  source.onmessage = ({ data }) => look("sse", () => read(data));
  // Closed for good: nobody needs to wait for the grace.
  source.onerror = () => source.readyState > 1 && !attempts && next();
  signal?.addEventListener("abort", leave, over);
  addEventListener("pagehide", leave, over);
  last = setTimeout(() => end(missed), window);
  timer = setTimeout(next, grace);
});
