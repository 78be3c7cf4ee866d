// Whether a book may be used, and by whom not: `libs.common.live_books.usable`, told here from the same records.

const EARLY_MS = 1000;
const MOST_PRICE = 1e12;
const MOST_SIZE = 1e15;

/** How long each use waits for a word of a book, in seconds: since its owner's last, and since it was proven. */
export const PATIENCE = {
  "features": [5, 10],
  "scoring": [5, 1.5],
  "trading": [5, 30],
  "marking": [5, 30],
  "showing": [5, 30]
};

/** Who decides by a book, and of which use that is. */
export const DECISIONS = [
  ["the router's context", "features"],
  ["venue scores", "scoring"],
  ["sizes, plans and fills", "trading"],
  ["marks", "marking"],
];

/** What a state means, and what l2 does about it. */
export const STATES = {
  SYNCING: "waiting for a snapshot that joins the stream",
  LIVE: "proven consistent up to its seq",
  GAP: "the venue's sequence has a hole, or its book crossed: it is synchronised anew",
  STALE: "connected, but silent for too long: a new connection is made",
  CHECKSUM_FAILED: "the venue's checksum is not ours: a new connection is made",
  DISCONNECTED: "no socket: a new connection is made",
  ONE_SIDED: "proven consistent, and a side is empty",
  HALTED: "the venue says that it does not match now",
  REFUSED: "the venue does not serve this symbol",
  BLOCKED: "the venue serves nothing to this address: it is asked again after the venue's pause",
};

/** When a book was last proven, by its last message or by its owner's last word on it, ms. */
export function provenTs(top, health) {
  const synced = health.state === "LIVE" || health.state === "ONE_SIDED";
  const vouched = synced && health.epoch === top.epoch && !health.inDoubt;
  return vouched ? Math.max(top.receivedTs, health.ts) : top.receivedTs;
}

/** Why a use must not believe a book at `now`, in words; null if it may. */
export function fault(top, health, now, use) {
  const [silence, unproven] = PATIENCE[use].map((seconds) => 1000 * seconds);
  if (!health && !top) return "there is no book";
  if (!health || now - health.ts > silence) return "the l2 process is silent: its heartbeat is overdue";
  if (health.ts > now + EARLY_MS) return "the book's owner speaks from ahead: a clock is wrong";
  if (health.state !== "LIVE") return `the book is ${health.state}: ${health.reason}`;
  if (!top) return "there is no book yet: its first top is on its way";
  const { bids, asks } = top;
  if (!bids.length || !asks.length) return `no ${bids.length ? "asks" : asks.length ? "bids" : "bids and no asks"}`;
  if (health.epoch > top.epoch) return "the book was synchronised anew";
  if (health.epoch === top.epoch && health.toldSeq > top.seq)
    return `the book stands at seq ${top.seq} here, and ${health.toldSeq} was told: its log is held up`;
  if (top.receivedTs > now + EARLY_MS) return "the book is from ahead: a clock is wrong";
  const age = now - provenTs(top, health);
  if (age > unproven) return `stale: the book is ${Math.round(age)} ms old, over ${unproven} ms`;
  if (bids[0][0] >= asks[0][0]) return `crossed: the best bid ${bids[0][0]} is not below the best ask ${asks[0][0]}`;
  const odd = [...bids, ...asks].find(([p, s]) => !(p > 0 && p <= MOST_PRICE && s > 0 && s <= MOST_SIZE));
  if (odd) return `${odd} is no price and size`;
  if (!(top.features?.mid > 0)) return "the book was told without its features";
  return null;
}

/**
 * Which decisions refuse a book, and why.
 * @returns {{refusing: string[], why: string | null}} of none, `refusing` is empty
 */
export function verdict(top, health, now) {
  const faults = DECISIONS.map(([who, use]) => [who, fault(top, health, now, use)]).filter(([, why]) => why);
  return { refusing: faults.map(([who]) => who), why: faults[0]?.[1] ?? null };
}

/** Those decisions in words. */
export function refusedBy({ refusing }) {
  if (!refusing.length) return "every decision uses it";
  return refusing.length === DECISIONS.length ? "no decision uses it" : `refused by ${refusing.join(" and ")}`;
}
