// Book health: in which state each book is, how it was proven last, and which decisions therefore refuse it.

import { modeOf } from "../bar.js";
import { provenTs, refusedBy, STATES } from "../book_rule.js";
import { derived, heads, html, memo, number, panel, repeat, state, svg } from "../dom.js";
import { seconds, span, time, whole } from "../format.js";

const STRIP_MS = 5 * 60_000;
const TROUBLES = 8;
const NEWS_MS = 15_000;
const STEP = 500; // ages are told in steps, so that they can be read

/** The panel of all books of the symbol. */
export function health(scene, books) {
  return panel(
    { title: "Is each book right?", id: "health", wide: true, note: "how it stands, what proved it last, and who refuses it" },
    html`<div class="scroll"><table class="health">
      ${heads("book", "state", "for", "epoch", "seq", "gaps", "resyncs", "last proof", "last message",
        `its last ${STRIP_MS / 60_000} minutes`, "used by")}
      <tbody>${repeat(books, ({ record }) => record.key, (book) => row(scene, book))}</tbody>
    </table></div>`,
  );
}

function row(scene, { record, top, verdict }) {
  const { data } = record;
  const points = scene.store.history.of("healths", record.key);
  const age = top && Math.max(0, Math.floor((scene.now - top.data.receivedTs) / STEP) * STEP);
  return html`<tr data-record=${record.id} data-state=${data.state}>
    <th scope="row">${data.venue} <span class="note">${modeOf(record) === "unknown" ? "" : modeOf(record)}</span></th>
    ${memo([record, age, points.length, verdict.why, scene.now], () => html`
      <td title=${STATES[data.state] ?? ""}>${state(data.state)}${was(scene.now, data, points)}${data.inDoubt ? html` <span class="middling">in doubt</span>` : ""}</td>
      <td>${derived(Math.max(0, scene.now - data.sinceTs), span, "since the state began")}</td>
      <td>${number(record, "epoch", seconds)}</td>
      <td>${number(record, "seq", whole)}</td>
      <td>${number(record, "gaps", whole)}</td>
      <td>${number(record, "resyncs", whole)}</td>
      <td>${proof(record, points)}</td>
      <td>${derived(age, ago, "since the newest top's last message was received")}${proven(scene, top, data, age)}</td>
      <td>${strip(scene.now, points)}</td>
      <td class="why"><span class=${verdict.refusing.length > 1 ? "bad" : verdict.refusing.length ? "middling" : "good"}>${refusedBy(verdict)}</span>
        <span class="note">${verdict.why ?? data.reason}</span></td>`)}
  </tr>`;
}

/** What a book was a moment ago: most troubles are over before they can be read. */
function was(now, data, points) {
  const last = stretches(points, now).findLast(({ point: { state: word } }) => word !== "LIVE" && word !== "SYNCING");
  if (!last || last.point.state === data.state || now - last.from > NEWS_MS) return "";
  return html` <span class="middling">was ${last.point.state} ${derived(Math.max(0, now - last.from), ago, "since that state began")}</span>`;
}

const ago = (ms) => (ms < STEP ? "now" : `${span(ms)} ago`);

/** A quiet book is as fresh as its owner's word on it. */
function proven(scene, top, data, age) {
  if (!top || age < 2000 || provenTs(top.data, data) === top.data.receivedTs) return "";
  return html` <span class="note">quiet; l2 vouches for it</span>`;
}

/** What proves a book besides that its messages join: the venue's checksum, or its best quote at the same id. */
function proof(record, points) {
  const { checksumsMatched, checksumFailures, quotesMatched } = record.data;
  const [field, what] = checksumsMatched || checksumFailures ? ["checksumsMatched", "checksums"] : ["quotesMatched", "bookTicker quotes"];
  if (!checksumsMatched && !checksumFailures && !quotesMatched)
    return html`<span class="note" title="the venue sends neither checksums nor quotes to compare">that its messages join</span>`;
  let last = null;
  for (let at = points.length - 1; at > 0 && last === null; at -= 1)
    if (points[at][field] > points[at - 1][field]) last = points[at].ts;
  return html`${number(record, field, whole)} ${what} equal${last ? html`, last ${derived(last, seconds, "when a health first told one more")}` : ""}
    ${checksumFailures ? html`<span class="bad">${number(record, "checksumFailures", whole)} differed</span>` : ""}`;
}

const KINDS = { LIVE: "live", ONE_SIDED: "odd", SYNCING: "odd" };

/** The stretches of one state in a book's history, oldest first: [point, from, to]. */
export function stretches(points, now) {
  const found = [];
  for (const point of points) {
    const last = found.at(-1);
    if (last && last.point.state === point.state && point.ts - last.to < 5000) last.to = point.ts;
    else {
      const from = Math.max(point.sinceTs ?? point.ts, last?.to ?? 0);
      if (last && from - last.to < 5000) last.to = from;
      found.push({ point, from, to: point.ts });
    }
  }
  const last = found.at(-1);
  if (last && now - last.to < 5000) last.to = now;
  return found;
}

export function strip(now, points) {
  const from = now - STRIP_MS;
  const parts = stretches(points, now).filter(({ to }) => to > from);
  const bad = parts.filter(({ point }) => point.state !== "LIVE");
  const words = bad.length ? bad.slice(-3).map((each) => `${each.point.state} ${span(each.to - each.from)} at ${seconds(each.from)}`).join(", ") : parts.length ? "LIVE all the time that is known" : "not known";
  const x = (ts) => ((150 * Math.max(0, ts - from)) / STRIP_MS).toFixed(1);
  return html`<svg class="strip" viewBox="0 0 150 10" preserveAspectRatio="none" role="img" aria-label=${words}>
    ${parts.map(({ point, from: a, to }) => rect(x(a), Math.max(1.5, x(to) - x(a)), KINDS[point.state] ?? "broken"))}
  </svg>`;
}

const rect = (x, width, kind) =>
  svg`<rect class=${kind} x=${x} width=${width} y=${kind === "live" ? 3 : 0} height=${kind === "live" ? 4 : 10}></rect>`;

/** What befell the books of late, the newest first; it stays to be read when it is over. */
export function troubles(scene, books) {
  const lists = books.map(({ record }) => [record, scene.store.history.of("healths", record.key)]);
  return panel(
    { title: "Troubles of late", id: "troubles", wide: true },
    memo([scene.live, scene.symbol, ...lists.map(([, points]) => points.at(-1)?.id)], () => {
      const found = lists
        .flatMap(([record, points]) => stretches(points, scene.now).filter(({ point }) => point.state !== "LIVE").map((each) => ({ ...each, record })))
        .sort((a, b) => b.from - a.from)
        .slice(0, TROUBLES);
      if (!found.length) return html`<p class="wait">None in the last quarter of an hour.</p>`;
      return html`<div class="scroll"><table class="troubles">
        ${heads("since, UTC", "book", "state", "lasted", "why")}
        <tbody>${found.map(({ point, from, to, record }) => html`<tr data-record=${point.id}>
          <td>${number({ data: point }, "sinceTs", time)}</td><th scope="row">${record.data.venue}</th><td>${state(point.state)}</td>
          <td>${record.data.sinceTs === point.sinceTs ? "it lasts" : derived(to - from, span, "from this state's begin to the next one's")}</td>
          <td class="why">${point.reason}</td>
        </tr>`)}</tbody>
      </table></div>`;
    }),
  );
}
