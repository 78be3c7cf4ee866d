// The last minutes of what is drawn over time: bounded, whatever comes and however long the page stays open.
// What came before the page was open is read from the topics, the first time that somebody draws it.

import { getOld } from "./ask.js";
import { nameOf } from "./topics.js";

const KEEP_MS = 15 * 60_000;
const HOUR_MS = 3600_000;
const MOST = 4000; // points of one series
const MOST_SERIES = 400;
const AGAIN_MS = 15_000; // after a request that failed

const COUNTS = ["gaps", "resyncs", "checksumsMatched", "quotesMatched", "checksumFailures"];

const DECIDED = { types: ["PolicyChosen", "PolicyRewarded"], keep: HOUR_MS, most: 1500 };

/**
 * By topic: of which key a record is a point, what of it is kept, in which steps it is enough, and where they differ
 * from the rest: of which types, for how long, and how many are read of the past.
 */
const KEPT = {
  metrics: [bookOf, ["latencyP50Ms", "latencyP99Ms", "reliability", "rateRemaining", "referenceCostBps"], "5s"],
  healths: [bookOf, ["state", "reason", "inDoubt", "epoch", "sinceTs", ...COUNTS], "1s"],
  trades: [bookOf, ["price", "size", "side", "venue", "receivedTs"], null],
  choices: [(data) => data.scope, ["type", "policyId", "driftAlarm"], null, DECIDED],
  snapshots: [(data) => data.scope, ["driftAlarms", "noise"], "5s"],
  equity: [(data) => data.book, ["equity", "realizedPnl", "unrealizedPnl", "fees"], "5s", { keep: 6 * HOUR_MS }],
  risk: [(data) => data.book, ["cvarUsed", "cvarLeft", "cvarBudget"], "5s"],
};

function bookOf(data) {
  return `${data.venue}:${data.symbol}`;
}

/** The point of a record's message in its series; null where it is none. */
function pointOf(short, id, data) {
  const [, names, , more] = KEPT[short];
  if (more?.types && !more.types.includes(data.type)) return null;
  const point = { ts: data.ts ?? data.receivedTs, id };
  for (const name of names) point[name] = data[name];
  return point;
}

const keepOf = (short) => KEPT[short][3]?.keep ?? KEEP_MS;

/** Points of a stretch of a topic, oldest first. */
async function read(short, key, from, to) {
  const [, , every, more] = KEPT[short];
  const limit = more?.most ?? MOST;
  const asked = { key, from: Math.floor(from), ...(to && { to }), limit, ...(every && { every }) };
  const records = await getOld(`api/records/${nameOf(short)}?${new URLSearchParams(asked)}`);
  const points = records.map(({ id, data }) => pointOf(short, id, data)).filter(Boolean);
  return points.sort((a, b) => a.ts - b.ts);
}

export class History {
  #series = new Map();
  #asked = new Map(); // by series: when its beginning was asked for

  /** @param {() => void} changed called when points of the past have come */
  constructor(changed = () => {}) {
    this.changed = changed;
  }

  take(short, record) {
    if (!KEPT[short]) return;
    const point = pointOf(short, record.id, record.data);
    if (!point) return;
    const name = `${short}/${KEPT[short][0](record.data)}`;
    let series = this.#series.get(name);
    if (!series) {
      if (this.#series.size >= MOST_SERIES) this.#series.delete(this.#series.keys().next().value);
      this.#series.set(name, (series = []));
    }
    const before = series.at(-1);
    if (before && (before.ts > point.ts || before.id === point.id)) return; // told again, or a clock was set back
    series.push(point);
    const oldest = point.ts - keepOf(short);
    let gone = 0;
    while (gone < series.length && (series[gone].ts < oldest || series.length - gone > MOST)) gone += 1;
    if (gone > 64 || series.length > MOST) series.splice(0, gone);
  }

  /** The points of a key, oldest first; do not change them. */
  of(short, key) {
    const name = `${short}/${key}`;
    if (KEPT[short] && !(this.#asked.get(name) > Date.now() - AGAIN_MS)) this.#begin(short, key, name);
    return this.#series.get(name) ?? [];
  }

  /** From here on messages are missing: they are read from the topics by who draws them. */
  doubt() {
    this.#asked.clear();
  }

  async #begin(short, key, name) {
    if (this.#asked.size >= MOST_SERIES) this.#asked.clear();
    this.#asked.set(name, Date.now());
    try {
      const points = await read(short, key, Date.now() - keepOf(short));
      this.#asked.set(name, Infinity);
      const had = this.#series.get(name) ?? [];
      const ids = new Set(had.map((point) => point.id));
      const missing = points.filter((point) => !ids.has(point.id));
      if (!missing.length) return;
      const whole = missing.concat(had).sort((a, b) => a.ts - b.ts).slice(-MOST);
      had.splice(0, had.length, ...whole);
      this.#series.set(name, had);
      this.changed();
    } catch (error) {
      if (error.status !== undefined && error.status < 500) this.#asked.set(name, Infinity); // it is not to be had
    }
  }
}

const WINDOW_MS = 5 * 60_000;
const MOST_WINDOWS = 60;
const windows = new Map();

/** The histories of moments of the past: each series in windows, so that a slider that is dragged asks seldom. */
export class PastHistory {
  constructor(at, changed) {
    this.at = at;
    this.changed = changed;
  }

  take() {}

  of(short, key) {
    if (!KEPT[short]) return [];
    const until = Math.ceil(this.at / WINDOW_MS) * WINDOW_MS;
    const name = `${short}/${key}/${until}`;
    let window = windows.get(name);
    if (!window || (!window.whole && window.asked < Date.now() - AGAIN_MS)) {
      if (windows.size >= MOST_WINDOWS) windows.delete(windows.keys().next().value);
      window = { points: [], shown: [], at: null, ...window, asked: Date.now(), whole: false };
      windows.set(name, window);
      this.#read(short, key, until, window);
    }
    if (window.at !== this.at) {
      window.at = this.at;
      window.shown = window.points.filter(({ ts }) => ts >= this.at - keepOf(short) && ts <= this.at);
    }
    return window.shown;
  }

  async #read(short, key, until, window) {
    try {
      const points = await read(short, key, until - WINDOW_MS - keepOf(short), until < window.asked ? until : null);
      Object.assign(window, { points, at: null, whole: until < window.asked });
      this.changed();
    } catch (error) {
      window.whole = error.status !== undefined && error.status < 500; // it is not to be had
    }
  }
}
