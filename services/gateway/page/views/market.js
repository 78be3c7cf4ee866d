// Market: the ladders of all venues of a symbol side by side, their depth over time, and whether each book is right.

import { modeOf } from "../bar.js";
import { refusedBy, verdict } from "../book_rule.js";
import { derived, fact, heads, html, memo, number, panel, repeat, state } from "../dom.js";
import { bps, fixed, places, significant, signedBps, time } from "../format.js";
import "../widgets/depth_heat.js";
import { health, troubles } from "./health.js";

const LEVELS = 10;
const TRADES = 16;
const SIZE = significant(4); // of a trade
const COUNTED = 4; // digits of a ladder's sizes, of the largest of them
const TRADING = "sizes, plans and fills";

export const market = {
  id: "market",
  title: "Market",
  key: "m",
  draw(scene) {
    const { store, symbol, place } = scene;
    if (!symbol) return html`<p class="wait">No book is known yet.</p>`;
    const books = store.booksOf(symbol).map((record) => {
      const top = store.get("tops", record.key);
      const digits = places(record.data.terms?.tick ?? 0.01);
      const [price, within] = [fixed(digits), fixed(digits + 2)]; // within: between two prices
      return { record, top, price, within, verdict: verdict(top?.data, record.data, scene.now) };
    });
    if (!books.length) return html`<p class="wait">Of ${symbol} no book was known then.</p>`;
    const shown = books.find(({ record }) => record.data.venue === place.venue) ?? books[0];
    const scale = scaleOf(books);
    return html`
      ${best(books, symbol)}
      <div class="grid ladders">${repeat(books, ({ record }) => record.key, (book) => ladder(book, scale))}</div>
      <div class="grid market">${heat(scene, books, shown)}${tape(scene, books)}</div>
      <div class="grid">${health(scene, books)}${troubles(scene, books)}</div>
    `;
  },
};

/** The size that a whole bar stands for, the same at all venues: 1, 2 or 5 times a power of ten. */
function scaleOf(books) {
  const sum = (levels) => levels.slice(0, LEVELS).reduce((total, [, size]) => total + size, 0);
  const most = Math.max(1e-12, ...books.flatMap(({ top }) => (top ? [sum(top.data.bids), sum(top.data.asks)] : [])));
  const power = 10 ** Math.floor(Math.log10(most));
  return power * [1, 2, 5, 10].find((each) => each * power >= most);
}

/** The best prices of all books that may be traded on, and how they stand to each other. */
function best(books, symbol) {
  const used = books.filter(({ verdict: { refusing } }) => !refusing.includes(TRADING));
  const sound = books.filter(({ verdict: { refusing } }) => !refusing.length).length;
  const by = (side, better) =>
    used.reduce((a, b) => (!a || better(b.top.data[side][0][0], a.top.data[side][0][0]) ? b : a), null);
  const [bid, ask] = [by("bids", (a, b) => a > b), by("asks", (a, b) => a < b)];
  const mid = bid && (bid.top.data.bids[0][0] + ask.top.data.asks[0][0]) / 2;
  const spread = bid && (1e4 * (ask.top.data.asks[0][0] - bid.top.data.bids[0][0])) / mid;
  const words = sound === books.length ? "every book may be used by every decision" : `${sound} of ${books.length} books may be used by every decision`;
  return panel(
    { title: `${symbol}, all venues`, id: "best", wide: true, note: html`<span class=${sound === books.length ? "good" : sound ? "middling" : "bad"}>${words}</span>` },
    html`<dl class="facts large">
      <div data-record=${bid?.top.id ?? ""}><dt>best bid${bid ? `, ${bid.record.data.venue}` : ""}</dt><dd class="bids">${number(bid?.top, "bids.0.0", (bid ?? books[0]).price)}</dd></div>
      <div data-record=${ask?.top.id ?? ""}><dt>best ask${ask ? `, ${ask.record.data.venue}` : ""}</dt><dd class="asks">${number(ask?.top, "asks.0.0", (ask ?? books[0]).price)}</dd></div>
      <div><dt>between them${spread < 0 ? ": the venues cross" : ""}</dt><dd>${derived(spread, signedBps, "best ask of all minus best bid of all, of their middle; below 0: the venues cross")} bps</dd></div>
    </dl>`,
  );
}

function ladder({ record, top, price, within, verdict: judged }, scale) {
  const { venue } = record.data;
  const refused = judged.refusing.includes(TRADING);
  return memo([top, record.data.state, record.data.feed, judged.refusing.join(), scale], () =>
    panel(
      { title: venue, id: `ladder ${record.key}`, record: top, mode: modeOf(record), note: state(record.data.state) },
      top
        ? html`<p class="use ${refused ? "bad" : judged.refusing.length ? "middling" : "good"}">${refusedBy(judged)}</p>
            <dl class="facts">
              ${fact("spread", html`${number(top, "features.spreadBps", bps)} bps`)}
              ${fact("microprice", number(top, "features.microprice", within))}
              ${fact("imbalance", number(top, "features.obi", fixed(2)))}
            </dl>
            <div class=${refused ? "levels doubtful" : "levels"}>
              ${bars(top.data, scale)}
              <table class="ladder">
                ${heads("size", "price")}
                <tbody class="asks">${rows(top, "asks", price, scale)}</tbody>
                <tbody class="bids">${rows(top, "bids", price, scale)}</tbody>
              </table>
            </div>`
        : html`<p class="wait">It has not synchronised: ${record.data.reason}</p>`,
    ),
  );
}

const FALLING = [...Array(LEVELS).keys()].reverse();
const RISING = [...Array(LEVELS).keys()];

/** Sizes with their points below each other; none that is there as 0. */
function sizes(scale) {
  const digits = Math.min(12, Math.max(0, COUNTED - Math.floor(Math.log10(scale))));
  const [write, small] = [fixed(digits), significant(2)];
  return (size) => (size && size < 10 ** -digits ? small : write)(size);
}

function rows(top, side, price, scale) {
  const levels = top.data[side];
  const size = sizes(scale);
  return (side === "asks" ? FALLING : RISING).map((at) =>
    at < levels.length
      ? html`<tr><td>${number(top, `${side}.${at}.1`, size)}</td><td>${number(top, `${side}.${at}.0`, price)}</td></tr>`
      : html`<tr><td> </td><td> </td></tr>`,
  );
}

/** What can be taken up to each level, as the outline of two hills behind the table. */
function bars({ bids, asks }, scale) {
  const outline = (levels, down) => {
    let sum = 0, path = `M100 ${LEVELS}`;
    for (let at = 0; at < LEVELS; at += 1) {
      sum += levels[at]?.[1] ?? 0;
      path += `H${(100 - 100 * Math.min(1, sum / scale)).toFixed(1)}V${LEVELS + down * (at + 1)}`;
    }
    return `${path}H100Z`;
  };
  return html`<svg class="hills" viewBox="0 0 100 ${2 * LEVELS}" preserveAspectRatio="none" aria-hidden="true">
    <path class="ask" d=${outline(asks, -1)}></path><path class="bid" d=${outline(bids, 1)}></path>
  </svg>`;
}

function heat(scene, books, { record, top }) {
  const { data, key } = record;
  const choice = html`<label>of <select @change=${(event) => scene.go({ venue: event.target.value }, true)}>
    ${repeat(books, (each) => each.record.key, (each) => html`<option value=${each.record.data.venue} .selected=${each.record === record}>${each.record.data.venue}</option>`)}
  </select></label>`;
  return panel(
    { title: "Depth and trades, 5 minutes", id: "heat", mode: modeOf(record), note: choice },
    html`<depth-heat
      .alive=${data.state === "LIVE"} .tick=${Number(data.terms?.tick ?? 0)} .now=${scene.now} .at=${scene.live ? null : scene.now}
      .book=${key} .trades=${scene.store.history.of("trades", key)} .top=${top}
    ></depth-heat>`,
  );
}

function tape(scene, books) {
  const { history } = scene.store;
  const lists = books.map(({ record }) => history.of("trades", record.key));
  const newest = lists.map((list) => list.at(-1)?.id);
  return panel(
    { title: "Trades", id: "trades" },
    memo([scene.symbol, scene.live, ...newest], () => {
      const trades = lists.flatMap((list) => list.slice(-TRADES)).sort((a, b) => b.ts - a.ts).slice(0, TRADES);
      const price = Object.fromEntries(books.map((book) => [book.record.data.venue, book.price]));
      if (!trades.length) return html`<p class="wait">No trade in the last minutes.</p>`;
      return html`<div class="scroll"><table class="tape">
        ${heads("time, UTC", "venue", "taker", "size", "price")}
        <tbody>${trades.map((point) => {
          const trade = { data: point };
          return html`<tr data-record=${point.id} class=${point.side === "buy" ? "bids" : "asks"}>
            <td>${number(trade, "receivedTs", time)}</td><td>${point.venue}</td><td>${point.side === "buy" ? "▲ buys" : "▼ sells"}</td>
            <td>${number(trade, "size", SIZE)}</td><td>${number(trade, "price", price[point.venue])}</td>
          </tr>`;
        })}</tbody>
      </table></div>`;
    }),
  );
}
