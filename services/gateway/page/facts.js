// What is said of the stages of a decision: which numbers of a record, under which words.

import { at, derived, fact, heads, html, nothing, number, svg } from "./dom.js";
import { bps, fixed, percent, significant, signedBps, span, time, whole } from "./format.js";

const digits = significant(5);
const few = significant(3);

/** By stage: label, path in the record, how it is written, unit. */
export const FACTS = {
  sizing: [
    ["signal", "signal", fixed(3)],
    ["× most", "sMax", fixed(2)],
    ["× certainty", "sigmoid", fixed(3)],
    ["width", "uncertaintyWidth", few],
    ["w*", "wStar", few],
    ["× volatility's scale", "volScale", fixed(3)],
    ["forecast volatility", "forecastVol", percent(2), "a day"],
    ["= raw", "raw", percent(2), "of equity"],
    ["size after the caps", "size", percent(2), "of equity"],
    ["target", "target", digits],
    ["− held", "held", digits],
    ["= order", "qty", digits],
  ],
  shortfall: [
    ["delay", "delayBps", signedBps, "bps"],
    ["impact", "impactBps", signedBps, "bps"],
    ["opportunity", "opportunityBps", signedBps, "bps"],
    ["fees", "feesBps", signedBps, "bps"],
    ["total", "totalBps", signedBps, "bps"],
  ],
  plan: [
    ["size", "size", digits],
    ["horizon", "horizonS", few, "s"],
    ["expected cost", "expectedBps", bps, "bps"],
    ["risk of waiting", "riskBps", bps, "bps"],
    ["mid", "mid", digits],
    ["epoch", "epoch", String],
    ["seq", "seq", String],
  ],
  child: [
    ["size", "orderQty", digits],
    ["limit", "price", digits],
    ["mid", "mid", digits],
    ["expected price", "expectedPx", digits],
    ["submitted", "submittedTs", time],
    ["arrives", "arrivesTs", time],
    ["epoch", "epoch", String],
    ["seq", "seq", String],
  ],
  became: [
    ["filled", "cumQty", digits],
    ["average price", "avgPx", digits],
    ["fees", "fees", digits],
  ],
  fill: [
    ["size", "lastQty", digits],
    ["price", "lastPx", digits],
    ["mid", "mid", digits],
    ["expected price", "expectedPx", digits],
    ["fee", "fee", digits],
    ["after", "latencyMs", span],
    ["epoch", "epoch", String],
    ["seq", "seq", String],
  ],
  choice: [
    ["propensity", "propensity", percent(1)],
    ["sampled score", "score", few],
    ["width", "width", few],
    ["exploration", "explorationBonus", few],
  ],
  rewarded: [
    ["reward", "reward", few],
    ["learnt", "learnt", few],
    ["rewards so far", "updates", whole],
    ["their mean", "meanReward", few],
  ],
  outcome: [
    ["reward", "reward", few],
    ["unchanged", "unchanged", few],
    ["gross", "gross", digits],
    ["cost", "cost", digits],
    ["window", "beginTs", time],
    ["to", "endTs", time],
  ],
  book: [
    ["epoch", "epoch", String],
    ["seq", "seq", String],
    ["received", "receivedTs", time],
  ],
  features: [
    ["mid", "mid", digits],
    ["microprice", "microprice", digits],
    ["spread", "spreadBps", bps, "bps"],
    ["imbalance", "obi", fixed(3)],
  ],
};

/** A number of a record; of one that is not known, a number of what the gateway joined from the logs. */
export const told = (record, path, write) =>
  record.id ? number(record, path, write) : derived(at(record.data, path), write, "joined by the gateway from several records");

/** The facts of a record under a path of it, those that it has. */
export function facts(record, list, under = "") {
  const known = list.filter(([, path]) => (at(record.data, under + path) ?? null) !== null);
  return html`<dl class="facts">
    ${known.map(([label, path, write, unit = ""]) => html`${fact(label, html`${told(record, under + path, write)} ${unit}`)}`)}
  </dl>`;
}

/** Numbers by name, the largest of them first. */
export function named(record, path, label, write = few) {
  const found = at(record.data, path);
  if (!found || typeof found !== "object") return nothing;
  const names = Object.keys(found).filter((name) => typeof found[name] === "number");
  if (!names.length) return nothing;
  names.sort((a, b) => Math.abs(found[b]) - Math.abs(found[a]) || (a < b ? -1 : 1));
  return html`<p class="what">${label}</p>
    <dl class="facts">${names.map((name) => fact(name, told(record, `${path}.${name}`, write)))}</dl>`;
}

const TERMS = [
  ["delayBps", "delay", "the mid's way from the decision to the first child"],
  ["impactBps", "impact", "what the fills paid against the mid at the first child"],
  ["opportunityBps", "opportunity", "the mid's way after it, of what was not filled"],
  ["feesBps", "fees", "the venues' fees"],
];
const WIDTH = 300;
const ROW = 22;

/** "What did it cost": the terms of a record's shortfall (`under`: its path) as bars from a common zero. */
export function cost(record, under = "shortfall.") {
  const values = TERMS.map(([name]) => Number(at(record.data, under + name)));
  const total = at(record.data, `${under}totalBps`);
  if (total === undefined || total === null || values.some(Number.isNaN)) return html`<p class="wait">No cost is known yet.</p>`;
  const low = Math.min(0, ...values), high = Math.max(0, ...values);
  const scale = WIDTH / (high - low || 1);
  const most = total < 0 ? low : high, [, label, meaning] = TERMS[Math.max(0, values.indexOf(most))];
  const size = (value) => bps(Math.abs(value)); // "saved" and "cost" say the sign
  return html`<p>
      It ${total < 0 ? "saved" : "cost"} <strong>${told(record, `${under}totalBps`, size)} bps</strong> against
      the price at the decision${most ? html`, most of it ${label}: ${meaning}` : nothing}.
    </p>
    <div class="scroll"><table class="terms">
      ${heads("term", "bps", "share")}
      <tbody>
        ${TERMS.map(
          ([name, label, meaning], n) => html`<tr>
            <th scope="row" title=${meaning}>${label}</th>
            <td>${told(record, under + name, signedBps)}</td>
            <td><svg viewBox="0 0 ${WIDTH} ${ROW}" width=${WIDTH} height=${ROW} aria-hidden="true">
              <line class="zero" x1=${-low * scale} x2=${-low * scale} y1="0" y2=${ROW}></line>
              <rect class=${values[n] < 0 ? "gain" : "loss"} x=${(Math.min(values[n], 0) - low) * scale}
                width=${Math.abs(values[n]) * scale} y="4" height=${ROW - 8}></rect>
            </svg></td>
          </tr>`,
        )}
      </tbody>
    </table></div>`;
}

/** How much of an order is filled, open and not sent, as one bar with its numbers. */
export function progress(record) {
  const parts = [["filled", "filled"], ["open", "open at the venues"], ["unscheduled", "not sent"]];
  const values = parts.map(([name]) => Number(record.data[name] ?? 0));
  const sum = values.reduce((total, each) => total + each, 0);
  let before = 0;
  return html`<div class="progress">
    <svg viewBox="0 0 100 8" preserveAspectRatio="none" width="100%" height="10" aria-hidden="true">
      ${parts.map(([name], n) => {
        const from = before;
        before += sum ? (100 * values[n]) / sum : 0;
        return svg`<rect class=${name} x=${from} y="0" width=${before - from} height="8"></rect>`;
      })}
    </svg>
    <span>${derived(sum ? values[0] / sum : null, percent(0), "filled of filled, open and not sent")} filled</span>
    ${parts.map(([name, words]) => html`<span class="key ${name}">${words} ${number(record, name, digits)}</span>`)}
  </div>`;
}
