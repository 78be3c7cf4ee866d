// Why (not): for every symbol the gates from a signal to an order, now, and the first one that is closed.

import { modeOf } from "../bar.js";
import { derived, html, memo, nothing, panel, recordLink, repeat } from "../dom.js";
import { FACTS, facts, named } from "../facts.js";
import { percent, seconds, significant, span } from "../format.js";
import { Polled } from "../polled.js";
import { decideButton } from "../widgets/decide.js";
import { executionLink } from "./executions.js";

const EVERY_MS = 1500;
const few = significant(3);
const polled = new Polled(EVERY_MS);

const TITLES = {
  halt: "Trading allowed",
  limits: "Limits",
  book: "Book",
  policy: "Policy",
  signal: "Signal",
  uncertainty: "Certainty",
  volatility: "Volatility",
  cvar: "CVaR head-room",
  cash: "Cash",
  size: "Size",
  venue: "Venue",
};

export const why = {
  id: "why",
  title: "Why (not)",
  key: "w",
  draw(scene) {
    if (!scene.live) return past(scene);
    const { value, error, at } = polled.look("api/why", scene.redraw);
    if (!value) return html`<p class="wait">${error ? `The gates cannot be told: ${error}` : "Asking for the gates …"}</p>`;
    return html`${error ? html`<p class="bad" role="alert">Not asked again for ${span(Date.now() - at)}: ${error}</p>` : nothing}
      <div class="grid">
        ${repeat(first(value.symbols, scene.symbol), ({ symbol }) => symbol, (each) =>
          memo([each, scene.store.get("sizings", each.symbol), scene.href({})], () => ofSymbol(each, scene, value.ts)))}
      </div>`;
  },
};

/** The chosen symbol first, then as they come. */
const first = (symbols, chosen) => [...symbols].sort((a, b) => (b.symbol === chosen) - (a.symbol === chosen));

function ofSymbol({ symbol, open, first: closed, decision, gates }, scene, ts) {
  const gate = gates.find((each) => each.gate === closed);
  return panel(
    {
      title: symbol,
      id: `why ${symbol}`,
      wide: true,
      mode: modeOf(scene.store.booksOf(symbol)[0]),
      note: html`as of ${derived(ts, seconds, "when the gateway looked at the gates, UTC")}`,
    },
    html`<p class="verdict">
        ${mark(open)}
        ${open
          ? html`<strong>Every gate is open</strong>: a decision now would send an order.`
          : html`<strong>${title(closed)} is closed</strong>${gate ? html`: ${gate.words}` : nothing}
            ${gate ? html`– ${distance(gate)}` : nothing}`}
      </p>
      <ol class="gates" aria-label="Gates of ${symbol}, in order">
        ${gates.map((each) => gateOf(each, each.gate === closed))}
      </ol>
      <p class="decision">
        ${decision ? lastDecision(decision, scene) : "Nothing was decided yet."}
        ${decideButton(scene, symbol)}
      </p>
      ${factors(scene.store.get("sizings", symbol))}`,
  );
}

const title = (gate) => TITLES[gate] ?? gate;

function gateOf(each, isFirst) {
  return html`<li class="gate ${each.open ? "open" : "closed"} ${isFirst ? "first" : ""}" aria-current=${isFirst ? "step" : nothing}>
    <h3>${mark(each.open)} ${title(each.gate)} <span class="word">${each.open ? "open" : "closed"}</span></h3>
    <p>${each.words}</p>
    ${meter(each)}
    ${(each.records ?? []).map((id, n, all) => recordLink(id, shortOf(id, all.slice(0, n))))}
  </li>`;
}

/** The name of a record's topic without what all of them have; of one that was named before, the how manieth it is. */
function shortOf(id, before) {
  const [topic] = id.split(":");
  const known = before.filter((each) => each.startsWith(`${topic}:`)).length;
  return known ? `no. ${known + 1}` : topic.replace(/\.v\d+$/, "");
}

/** A ring where one passes, a barred square where not: the shape says it without its colour. */
function mark(open) {
  return open
    ? html`<svg class="mark good" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
        <circle cx="8" cy="8" r="6.5"></circle><path d="M5 8.2l2.2 2.3L11.2 6"></path>
      </svg>`
    : html`<svg class="mark bad" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
        <rect x="1.5" y="1.5" width="13" height="13"></rect><path d="M4 8h8"></path>
      </svg>`;
}

/** How near a gate is to opening: full is open. */
function meter(each) {
  const near = nearness(each);
  if (near === null) return nothing;
  const how = `how far ${title(each.gate)} is from opening, by its value and threshold`;
  return html`<meter min="0" max="1" low="0.5" high="0.999" optimum="1" .value=${near} aria-label=${how}></meter>
    <small>
      ${derived(each.value, few, `api/why: value of the gate ${each.gate}`)} ${each.unit}${each.threshold === null
        ? nothing : html`, threshold ${derived(each.threshold, few, `api/why: threshold of the gate ${each.gate}`)}`}${each.headroom
        ? html`: ${distance(each)}` : nothing}
    </small>`;
}

function nearness({ open, value, threshold, headroom }) {
  if (headroom === null || headroom === undefined) return null;
  if (open) return 1;
  const scale = Math.max(Math.abs(value ?? 0), Math.abs(threshold ?? 0), Math.abs(headroom)) || 1;
  return Math.max(0, 1 - Math.abs(headroom) / scale);
}

function distance({ gate, headroom, open }) {
  if (headroom === null || headroom === undefined) return nothing;
  const size = derived(Math.abs(headroom), few, `api/why: headroom of the gate ${gate}`);
  return html`<span class="distance">${size} ${open ? "left" : "from opening"}</span>`;
}

function lastDecision({ executionId, ts, status, reason, policyId, id }, scene) {
  return html`Last decision ${derived(ts, seconds, "api/why: ts of the decision, UTC")} UTC: <strong>${status}</strong>
    ${policyId ? html`by ${policyId}` : nothing}${reason ? html`, ${reason}` : nothing}
    ${executionLink(scene, executionId, "why so, step by step")} ${recordLink(id, "record of it")}`;
}

/** What the last size was made of, as its record has it. */
function factors(sizing) {
  if (!sizing) return nothing;
  const { reason, binding } = sizing.data;
  return html`<details data-record=${sizing.id}>
    <summary>The last size, factor by factor: ${reason}${binding ? `, cut by ${binding}` : ""}</summary>
    ${facts(sizing, FACTS.sizing)}
    <h3>Caps</h3>
    ${named(sizing, "caps", "caps on the size", percent(2))}
    ${recordLink(sizing.id)}
  </details>`;
}

/** Of the past the gates are not told again: what was decided by then is, with the size's own factors. */
function past(scene) {
  const { store } = scene;
  return html`<p class="wait">The gates are asked as of now; at this moment of the past, the last decisions were:</p>
    <div class="grid">
      ${store.symbols.map((symbol) => {
        const record = store.all("records").filter(({ data }) => data.symbol === symbol)
          .reduce((last, each) => (last && last.data.createdTs >= each.data.createdTs ? last : each), null);
        const sizing = store.get("sizings", symbol);
        const { executionId, createdTs, status, reason, policyId } = record?.data ?? {};
        return panel(
          { title: symbol, id: `why ${symbol}`, wide: true, mode: modeOf(store.booksOf(symbol)[0]) },
          html`<p class="decision">${record
            ? lastDecision({ executionId, ts: createdTs, status, reason, policyId, id: record.id }, scene)
            : "Nothing was decided yet."}</p>
          ${factors(sizing)}`,
        );
      })}
    </div>`;
}
