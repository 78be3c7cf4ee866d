// What is known: the newest record of every key, as the topics say it, and a short history of some.

import { History } from "./history.js";
import { withProgress } from "./progress.js";
import { MOST, SHORT, TOPICS } from "./topics.js";

const WORKING = new Set(["planning", "working"]);
const PROGRESS_KEPT = 200;

const offsetOf = (record) => Number(record.id.slice(record.id.lastIndexOf(":") + 1));

/**
 * One record: `data` is the message as /api/stream tells it, `id` its topic:partition:offset; `whole`, of an
 * execution: the id of its last whole record, where that is known and progress came since.
 * @typedef {{topic: string, id: string, key: string, data: object, whole?: string}} Record
 */
export class Store {
  #tables = Object.fromEntries(Object.keys(TOPICS).map((short) => [short, new Map()]));
  #kept = new Set(); // records from before the connection broke, of which it is not known what became of them
  #early = []; // progress of executions whose record is still to come

  constructor(history = new History()) {
    this.history = history;
  }

  /** The newest records of a topic by key, by the topic's short name. */
  table(short) {
    return this.#tables[short];
  }

  /** The newest record under a key, or undefined. */
  get(short, key) {
    return this.#tables[short].get(key);
  }

  /** All newest records of a topic, in order of their keys. */
  all(short) {
    const table = this.#tables[short];
    return [...table.keys()].sort().map((key) => table.get(key));
  }

  /** Take a message; `key` where the message does not say it itself. */
  apply(topic, id, data, key = null) {
    const short = SHORT.get(topic);
    if (!short || data.type === "Undecodable") return;
    const table = this.#tables[short];
    if (data.type === "Tombstone") {
      table.delete(data.key);
      return;
    }
    const keyOf = TOPICS[short][1];
    const own = keyOf?.(data) ?? null;
    const record = { topic, id, key: own ?? key ?? id, data };
    if (key === null && data.type === "ExecutionRecord") record.whole = id;
    if (data.type === "ExecutionProgress") {
      const before = table.get(record.key);
      if (!before) {
        if (this.#early.push(record) > PROGRESS_KEPT) this.#early.shift();
        return;
      }
      record.data = withProgress(before.data, data);
      record.whole = before.whole;
    }
    this.history.take(short, record);
    if (own === null) return;
    table.set(record.key, record);
    if (table.size > MOST[short]) this.#shortened(short, table);
  }

  /** Take what stood in the topics at one moment: what has come since stays, what is gone goes. */
  fill(records) {
    for (const { topic, id, key, data } of records) {
      const short = SHORT.get(topic);
      const keyOf = short && TOPICS[short][1];
      const had = keyOf && this.#tables[short].get(keyOf(data));
      if (had && !this.#kept.has(had) && offsetOf(had) >= offsetOf({ id })) continue;
      this.apply(topic, id, data, key);
      if (data.executionId && keyOf) this.#caughtUp(data);
    }
    for (const table of Object.values(this.#tables))
      for (const [key, record] of table) if (this.#kept.has(record)) table.delete(key);
    this.#kept.clear();
  }

  /** From here on messages are missing: what is known is shown until `fill` tells what became of it. */
  doubt() {
    this.#kept = new Set(Object.values(this.#tables).flatMap((table) => [...table.values()]));
  }

  /** All symbols of which there is a book, by name. */
  get symbols() {
    return [...new Set(this.all("healths").map((record) => record.data.symbol))].sort();
  }

  /** All books of a symbol: their healths, by venue. */
  booksOf(symbol) {
    return this.all("healths").filter((record) => record.data.symbol === symbol);
  }

  /** Apply the progress that came before its execution's record. */
  #caughtUp({ executionId, ts }) {
    const mine = this.#early.filter(({ key }) => key === executionId);
    if (!mine.length) return;
    this.#early = this.#early.filter(({ key }) => key !== executionId);
    for (const { topic, id, data } of mine) if (data.ts >= ts) this.apply(topic, id, data);
  }

  /** Forget what was first known the longest ago; no execution that runs. */
  #shortened(short, table) {
    for (const [key, { data }] of table) {
      if (table.size <= MOST[short]) return;
      if (!(short === "records" && WORKING.has(data.status))) table.delete(key);
    }
  }
}
