// Venues: what an order would cost at each by term, how it is split, and how well each venue serves.

import { modeOf } from "../bar.js";
import { derived, fact, heads, html, memo, nothing, number, panel, recordLink, repeat, state, svg } from "../dom.js";
import { bps, fixed, money, percent, seconds, signedBps, significant, span, whole } from "../format.js";
import { Scoring } from "../scoring.js";
import "../widgets/line_plot.js";
import { stretches } from "./health.js";

const MEANINGS = {
  fee: "taker fee",
  spread: "half the spread: its best price against its own mid",
  impact: "of walking the book beyond the best price",
  basis: "its own mid against the fair one; a bargain is negative",
  latency: "how much of that is gone when the order arrives",
  reliability: "of tries that fail, and of being stuck",
  slippage: "what own orders paid there beyond what was expected",
};
const TERMS = Object.keys(MEANINGS);
const MS = fixed(1);
const scoring = new Scoring();
let feesToo = true; // in the bars

export const venues = {
  id: "venues",
  title: "Venues",
  key: "v",
  draw(scene) {
    const { store, symbol } = scene;
    if (!symbol) return html`<p class="wait">No book is known yet.</p>`;
    const books = store.booksOf(symbol);
    const metrics = books.map(({ key }) => store.get("metrics", key)).filter(Boolean);
    return html`<div class="grid">
      ${scene.live ? costs(scene, books, metrics) : html`<p class="panel wide wait">What an order would cost is asked of now; of the past there are the metrics alone.</p>`}
      ${measured(scene, metrics)}${plots(scene, metrics)}
    </div>`;
  },
};

/** The order that is asked about: by the address, else the one of the metrics' reference cost. */
function orderOf({ place, symbol, store }, books, metrics) {
  const side = place.side === "sell" ? "sell" : "buy";
  const least = Math.max(1e-9, ...books.map(({ data }) => Number(data.terms?.minQty ?? 0)));
  const depths = metrics.map(({ data }) => (side === "buy" ? data.depthAsk : data.depthBid)?.at(-1) ?? 0);
  const low = Math.floor(Math.log10(least)), high = Math.max(low + 2, Math.ceil(Math.log10(4 * depths.reduce((a, b) => a + b, 0) || 1)));
  const mid = books.map(({ key }) => store.get("tops", key)?.data.features?.mid).find(Boolean);
  const usual = metrics[0]?.data.referenceNotional / mid || 10 ** ((low + high) / 2);
  const asked = Number(place.size);
  const size = asked > 0 && asked < 1e15 ? asked : Number(usual.toPrecision(2));
  return { order: { symbol, side, size }, low, high, mid };
}

function costs(scene, books, metrics) {
  const asked = orderOf(scene, books, metrics);
  if (metrics.length) scoring.want(asked.order, scene.redraw);
  const { answer } = scoring, { side } = asked.order;
  const mine = answer?.symbol === scene.symbol && answer.side === side ? answer : null;
  const record = mine && (scene.store.get("scores", mine.commandId) ?? { data: mine });
  const [base, quote] = scene.symbol.split("-");
  return panel(
    { title: "What an order costs", id: "costs", wide: true, record: record?.id ? record : undefined, mode: books[0] && modeOf(books[0]), note: record ? html`all in, bps of the fair mid ${recordLink(record.id, "record")}` : nothing },
    html`${form(scene, asked, base, quote)}
      ${scoring.error ? html`<p class="bad" role="status">Not scored: ${scoring.error}</p>` : nothing}
      ${record ? memo([record, feesToo], () => html`${split(record, base)}${table(record)}`) : scoring.error ? nothing : html`<p class="wait">Being asked …</p>`}`,
  );
}

function form(scene, { order, low, high, mid }, base, quote) {
  const { side, size } = order;
  const go = (changes) => scene.go(changes, true);
  const choice = (name) => html`<label><input type="radio" name="side" value=${name} .checked=${side === name} @change=${() => go({ side: name })}>${name}</label>`;
  return html`<form class="order" @submit=${(event) => event.preventDefault()}>
    <fieldset><legend class="unseen">Side</legend>${choice("buy")}${choice("sell")}</fieldset>
    <label class="size"><span>Size</span>
      <input type="range" min=${low} max=${high} step="0.02" .value=${String(Math.log10(size))} aria-valuetext="${size} ${base}"
        @input=${(event) => go({ size: Number((10 ** Number(event.target.value)).toPrecision(2)) })}></label>
    <label><span class="unseen">Size in ${base}</span>
      <input type="number" min="0" step="any" .value=${String(size)} @change=${(event) => event.target.value > 0 && go({ size: Number(event.target.value) })}> ${base}</label>
    <label><input type="checkbox" .checked=${feesToo} @change=${(event) => {
      feesToo = event.target.checked;
      scene.redraw();
    }}>fees in the bars</label>
    <span class="note">${derived(size * mid, money, "size times the middle of the first book")} ${quote}</span>
  </form>`;
}

/** The least of some round numbers that is not below a value: so bars do not twitch. */
function round(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 1.5, 2, 3, 5, 7, 10].find((each) => each * power >= value);
}

const inBars = (term) => feesToo || term !== "fee";

function table(record) {
  const { candidates } = record.data;
  const sums = candidates.map(({ costBps }) => {
    const values = TERMS.filter(inBars).map((term) => costBps?.[term] ?? 0);
    return [values.reduce((sum, each) => sum + Math.min(0, each), 0), values.reduce((sum, each) => sum + Math.max(0, each), 0)];
  });
  const most = round(Math.max(0.1, ...sums.map(([, above]) => above)));
  const least = Math.min(...sums.map(([below]) => below));
  const left = least < 0 ? round(-least) : 0;
  const shown = (term, at) => (inBars(term) ? html`<li><i class="swatch hue-${at + 1}"></i>${term} <span class="note">${MEANINGS[term]}</span></li>` : nothing);
  return html`<h3>Cost by term, bps: all bars have one scale${feesToo ? "" : ", and leave out the fees"}</h3>
    <ul class="legend">${TERMS.map(shown)}</ul>
    <div class="scroll"><table class="costs">
    ${heads("venue", "all in",
      [html`<span class="ends"><span>${left ? signedBps(-left) : 0}</span> <span>${significant(2)(most)}</span></span>`, "as bars, bps", "plot"],
      ...TERMS.map((term) => [term, MEANINGS[term]]), "takes", "in words")}
    <tbody>${candidates.map((each, at) => html`<tr class=${each.eligible ? "" : "doubtful"}>
      <th scope="row">${each.venue}${each.venue === record.data.venue ? html` <span class="good">best</span>` : nothing}</th>
      <td>${number(record, `candidates.${at}.score`, (score) => bps(-score))}</td>
      <td class="plot">${each.costBps ? stack(each.costBps, left, most) : nothing}</td>
      ${TERMS.map((term) => html`<td>${number(record, `candidates.${at}.costBps.${term}`, signedBps)}</td>`)}
      <td>${number(record, `candidates.${at}.available`, significant(3))}</td>
      <td class="why">${each.eligible ? "" : html`<span class="bad">not eligible: </span>`}${each.reasons.join("; ")}</td>
    </tr>`)}</tbody>
  </table></div>`;
}

function stack(cost, left, most) {
  const unit = 200 / (left + most);
  let [below, above] = [left * unit, left * unit];
  const parts = TERMS.map((term, at) => {
    if (!inBars(term)) return nothing;
    const width = Math.abs(cost[term] ?? 0) * unit;
    if (cost[term] < 0) below -= width;
    const x = cost[term] < 0 ? below : above;
    if (!(cost[term] < 0)) above += width;
    return svg`<rect class="hue-${at + 1}" x=${x.toFixed(2)} y="1" width=${width.toFixed(2)} height="12"></rect>`;
  });
  return html`<svg class="stack" viewBox="0 0 200 14" preserveAspectRatio="none" aria-hidden="true">
    <path d="M50 0V14M100 0V14M150 0V14M200 0V14"></path>${parts}<path class="zero" d="M${(left * unit).toFixed(2)} 0V14"></path></svg>`;
}

function split(record, base) {
  const { allocation, size } = record.data;
  let sum = 0;
  return html`<h3>Split of ${number(record, "size", significant(3))} ${base}</h3>
    ${allocation.length
      ? html`<svg class="stack split" viewBox="0 0 200 14" preserveAspectRatio="none" aria-hidden="true">${allocation.map((each, at) => {
            const x = (200 * sum) / size;
            sum += each.size;
            return svg`<rect class="hue-${(at % 7) + 1}" x=${x.toFixed(2)} y="1" width=${Math.max(0, (200 * each.size) / size - 0.6).toFixed(2)} height="12"></rect>`;
          })}</svg>
          <ul class="legend">${allocation.map((each, at) => html`<li><i class="swatch hue-${(at % 7) + 1}"></i>${each.venue} ${number(record, `allocation.${at}.size`, significant(4))}
            <span class="note">${derived(each.size / size, percent(1), "of the size")}</span></li>`)}</ul>`
      : html`<p class="middling">There is none: the venues that may be used do not show that much together.</p>`}
    <dl class="facts">
      ${fact("all in, split so", html`${number(record, "allocationBps", bps)} bps`)}
      ${fact("saved against the best one", html`${number(record, "savingBps", bps)} bps`)}
      ${fact("fair mid", number(record, "fairMid", significant(8)))}
    </dl>`;
}

const COLUMNS = [
  ["latency p50", "latencyP50Ms", MS, "ms, venue time to receipt"],
  ["p99", "latencyP99Ms", MS, "ms"],
  ["REST", "requestP50Ms", MS, "ms, round trip, median"],
  ["taker", "takerBps", bps, "bps, lowest tier"],
  ["maker", "makerBps", bps, "bps, lowest tier"],
  ["basis", "basisBps", signedBps, "bps, its mid against the median of the usable books"],
  ["usual order", "referenceCostBps", bps, "bps, all in, mean of buy and sell"],
  ["slippage", "slippageBps", signedBps, "bps, of own orders"],
  ["fills", "fills", whole, "own"],
];

function measured(scene, metrics) {
  const worded = metrics.some(({ data }) => data.reasons.length);
  return panel(
    { title: "What is measured of each venue", id: "metrics", wide: true },
    html`<div class="scroll"><table class="metrics">
      ${heads("venue", "state", "reliability", "REST limit left",
        ...COLUMNS.map(([name, , , unit]) => [html`${name}<span class="unit">${unit.split(",")[0]}</span>`, unit]),
        "outage", ...(worded ? ["in words"] : []))}
      <tbody>${repeat(metrics, ({ key }) => key, (record) => html`<tr data-record=${record.id}>${memo([record, worded], () => measures(record, worded))}</tr>`)}</tbody>
    </table></div>`,
  );
}

function measures(record, worded) {
  const { venue, state: word, reliability, rateRemaining, reasons } = record.data;
  const share = (value, path, name) => html`<td><meter min="0" max="1" low="0.5" high="0.9" optimum="1" value=${value} aria-label="${name} of ${venue}"></meter>
    ${number(record, path, percent(1))}</td>`;
  return html`<th scope="row">${venue}</th><td>${state(word)}</td>
    ${share(reliability, "reliability", "reliability")}${share(rateRemaining, "rateRemaining", "REST limit left")}
    ${COLUMNS.map(([, path, write]) => html`<td>${number(record, path, write)}</td>`)}
    <td title="mean time until a book that is not LIVE is again">${number(record, "outageS", (s) => span(1000 * s))}</td>
    ${worded ? html`<td class="why">${reasons.join("; ")}</td>` : nothing}`;
}

const PLOTS = [
  ["Latency, median", "latencyP50Ms", "ms", MS, null],
  ["Latency, 99th percentile", "latencyP99Ms", "ms", MS, null],
  ["Reliability", "reliability", "", percent(2), [null, 1]],
];

/** When books left LIVE, for the time axes; told anew only when a health says something new. */
const marksOf = (() => {
  let [name, marks] = ["", []];
  return (lists, now) => {
    const newest = lists.map(([venue, points]) => `${venue}${points.at(-1)?.id}/${points.length}`).join();
    if (newest === name) return marks;
    name = newest;
    const bad = ([venue, points]) => stretches(points, now).filter(({ point }) => point.state !== "LIVE").map(({ point, from }) => ({ ts: from, label: `${venue} ${point.state}` }));
    marks = lists.flatMap(bad).sort((a, b) => a.ts - b.ts);
    return marks;
  };
})();

function plots(scene, metrics) {
  const { history } = scene.store;
  const marks = marksOf(metrics.map(({ key, data }) => [data.venue, history.of("healths", key)]), scene.now);
  return PLOTS.map(([title, field, unit, write, ranges]) =>
    panel(
      { title, id: field, note: marks.length ? html`▼ a book left LIVE, last ${derived(marks.at(-1).ts, seconds, "of the healths")}` : nothing },
      html`<line-plot .label=${title} .unit=${unit} .write=${write} .ranges=${ranges}
        .series=${metrics.map(({ data }) => ({ label: data.venue, of: (point) => point[field] }))}
        .points=${metrics.map(({ key }) => history.of("metrics", key))} .marks=${marks}></line-plot>`,
    ),
  );
}
