// An execution's audit, verified here: each hash made again of what the gateway tells, by the browser itself.

import { get } from "./ask.js";

const GENESIS = "0".repeat(64);

/**
 * The canonical JSON of a value (RFC 8785): numbers as ECMAScript writes them, members by their UTF-16 units.
 * @throws {TypeError} of what JSON has no exact form for: a NaN, an infinity, half of a surrogate pair, no JSON
 */
export function canonical(value) {
  switch (typeof value) {
    case "string":
      if (!value.isWellFormed()) throw new TypeError("half of a surrogate pair is no text");
      return JSON.stringify(value);
    case "number":
      if (!Number.isFinite(value)) throw new TypeError(`${value} is no number in JSON`);
      return JSON.stringify(value);
    case "boolean":
      return String(value);
    case "object":
      if (value === null) return "null";
      if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
      // `sort` without a comparison is by UTF-16 units, as section 3.2.3 has it
      return `{${Object.keys(value).sort().map((name) => `${canonical(name)}:${canonical(value[name])}`).join(",")}}`;
    default:
      throw new TypeError(`a ${typeof value} is no JSON`);
  }
}

/** Why this browser can compute no SHA-256 here; empty: it can. */
export const cannot = () =>
  globalThis.crypto?.subtle
    ? ""
    : "this page did not come by https or from this machine, and only there a browser computes SHA-256";

/** The SHA-256 of a text in UTF-8, hex. */
export async function sha256(text) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * What is wrong with a chain, entry by entry.
 * @param {object[]} entries as `GET /api/audit/{id}` has them
 * @param {{entries: number, head: string} | null} told where the chain stands by the execution's record
 * @returns {Promise<{entries: {seq: number, kind: string, ts: number, hash: string, wrong: string[]}[],
 *   problems: string[], verified: boolean}>} problems: of single entries and of the whole
 */
export async function verify(entries, told = null) {
  const checked = [];
  let before = GENESIS;
  for (const [n, { seq, ts, kind, prevHash, hash, payload }] of entries.entries()) {
    const wrong = [];
    if (seq !== n) wrong.push(`it stands at place ${n} and says that it is number ${seq}`);
    if (prevHash !== before) wrong.push("it does not follow the entry before it");
    if (hash !== (await made({ prevHash, seq, ts, kind, payload }))) wrong.push("it is not what its hash was made of");
    checked.push({ seq, kind, ts, hash, wrong });
    before = hash;
  }
  const problems = checked.flatMap(({ kind, wrong }, n) => wrong.map((words) => `entry ${n} (${kind}): ${words}`));
  if (!entries.length) problems.push("there is no entry");
  if (told && !entries.some(({ hash }) => hash === told.head))
    problems.push(`it does not hold the entry ${told.head} that the execution's record names as number ${told.entries}`);
  return { entries: checked, problems, verified: problems.length === 0 };
}

/**
 * Ask for an execution's audit, and verify it where this browser can.
 * @param {{entries: number, head: string} | null} told by the execution's record
 * @returns {Promise<{gateway: object, own: object | null, cannot: string}>} own: of `verify`; null: it cannot
 */
export async function audited(executionId, told = null, signal = undefined) {
  const gateway = await get(`api/audit/${encodeURIComponent(executionId)}`, signal);
  const why = cannot();
  return { gateway, own: why ? null : await verify(gateway.entries, told), cannot: why };
}

/** The hash of an entry, made of all that it says; null: it says what has no canonical form. */
async function made({ prevHash, seq, ts, kind, payload }) {
  try {
    return await sha256(prevHash + canonical({ seq, ts, kind, payload }));
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}
