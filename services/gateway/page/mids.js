// The way of the mid during an execution: what the topic of tops still holds, then live; bounded.

import { getOld } from "./ask.js";
import { isRunning } from "./progress.js";

const MOST_PATHS = 8;
const MOST_POINTS = 1200;
const EARLIER_MS = 5000;
const LATER_MS = 1000; // after the last thing that was done
const AGAIN_MS = 15_000; // after a request that failed

export class Mids {
  #paths = new Map(); // by execution

  /** The points {ts, mid} of the book that an execution is planned on, oldest first. */
  of(record, top, changed) {
    const { executionId, plan, createdTs, symbol } = record.data;
    let path = this.#paths.get(executionId);
    if (!path) {
      path = { points: [], due: 0, why: "" };
      this.#paths.set(executionId, path);
      if (this.#paths.size > MOST_PATHS) this.#paths.delete(this.#paths.keys().next().value);
    }
    if (Date.now() >= path.due) {
      path.due = Infinity;
      this.#ask(path, `${plan.venue}:${symbol}`, createdTs - EARLIER_MS, ends(record.data)).then(changed);
    }
    const { receivedTs: ts, features } = top?.data ?? {};
    if (features?.mid && ts <= ends(record.data) && ts > (path.points.at(-1)?.ts ?? 0)) {
      path.points.push({ ts, mid: features.mid });
      if (path.points.length > MOST_POINTS) path.points = path.points.filter((_, n) => n % 2 === 0);
    }
    return path.points;
  }

  async #ask(path, key, from, to) {
    const every = Math.max(1, Math.ceil((to - from) / 1000 / 300));
    const query = new URLSearchParams({ from, key, every: `${every}s`, limit: 500, ...(to < Date.now() && { to }) });
    try {
      const records = await getOld(`api/records/l2.book-tops.v1?${query}`);
      const told = records.filter(({ data }) => data.features?.mid).map(({ data }) => ({ ts: data.receivedTs, mid: data.features.mid }));
      const last = told.at(-1)?.ts ?? 0;
      path.points = [...told, ...path.points.filter(({ ts }) => ts > last)];
      path.why = told.length ? "" : "the topic holds no book of that time any more";
    } catch (error) {
      path.why = error.message;
      path.due = Date.now() + AGAIN_MS;
    }
  }

  /** Why the path is not whole, in words; empty: it is. */
  why(executionId) {
    return this.#paths.get(executionId)?.why ?? "";
  }
}

/** When an execution's path ends: some time after its last change, or when its plan does. */
export function ends(data) {
  const { ts, plan, orders, fills } = data;
  if (isRunning(data)) return Math.max(ts, plan.slices.at(-1)?.atTs ?? 0) + EARLIER_MS;
  const last = Math.max(data.createdTs, ...orders.map(({ submittedTs }) => submittedTs), fills.at(-1)?.ts ?? 0);
  return Math.min(ts, last) + LATER_MS; // a record tells of the reward too, which comes much later
}
