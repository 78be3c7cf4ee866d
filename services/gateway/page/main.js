// The page: it keeps the state, draws it at most once a frame, and says how well it is connected.

import { get } from "./ask.js";
import { bar } from "./bar.js";
import { html, render, say } from "./dom.js";
import { History } from "./history.js";
import { Moments } from "./moment.js";
import { Place } from "./place.js";
import { Store } from "./store.js";
import { Stream } from "./stream.js";
import { timeBar } from "./time_bar.js";
import { NAMES } from "./topics.js";
import { VIEWS, viewOf } from "./views/index.js";

const FRAME_MS = 30; // least time between two drawings: nobody reads faster, and others want the processor too
const STALE_MS = 1500; // without a word of the stream, the page says so: something comes every second
const LOOK_MS = 500; // how often ages are told anew
const MOST_SKEW_MS = 1000; // of the clocks of page and gateway, before ages are told by the gateway's
const LATENCIES = 4096;

/** What the views draw from. */
const page = {
  store: new Store(new History(redraw)),
  place: new Place(),
  moments: null,
  connection: { state: "connecting", since: Date.now(), why: "", missed: null, away: 0, last: 0, reading: "" },
  skew: 0, // what the gateway's clock is ahead of this one, ms, where that is much
  latency: [], // ms from receipt to the frame that shows it, of the newest tops; `shown` counts them all
  shown: 0,
  redraw,
};
page.moments = new Moments(redraw);
globalThis.bookrunner = page; // for whoever debugs, and for the tests

const now = () => Date.now() + page.skew;
const main = document.getElementById("view");
let asked = 0;
let drawn = 0;
let drawnView = null;
let fresh = []; // when the tops were received that the next frame shows

function redraw() {
  asked ||= requestAnimationFrame(draw);
}

function draw(at) {
  if (at - drawn < FRAME_MS) {
    asked = requestAnimationFrame(draw);
    return;
  }
  [asked, drawn] = [0, at];
  const { place: { now: place }, moments, connection } = page;
  const live = place.at === null;
  const store = live ? page.store : (moments.store ?? new Store());
  const symbols = page.store.symbols.length ? page.store.symbols : store.symbols;
  const symbol = symbols.includes(place.symbol) ? place.symbol : (symbols[0] ?? null);
  moments.want(place.at, symbol ?? place.symbol);
  const scene = {
    ...page,
    ...{ store, live, place, symbol, symbols, lately: page.store },
    now: live ? Math.floor(now() / LOOK_MS) * LOOK_MS : place.at,
    href: (changes) => page.place.href(changes),
    go: (...to) => page.place.go(...to),
  };
  scene.views = VIEWS.filter((each) => each.shown?.(scene) ?? true);
  scene.view = viewOf(place.view);
  render(bar(scene), document.getElementById("bar"));
  if (drawnView !== scene.view) {
    if (drawnView) scrollTo(0, 0);
    document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest" }); // the links scroll where it is narrow
  }
  const away = live ? connection.state === "lost" : !moments.here;
  main.setAttribute("aria-busy", String(away));
  if (live || moments.store || moments.error || drawnView !== scene.view) drawView(scene);
  render(timeBar(scene), document.getElementById("time"));
  const title = `${scene.view.title}${symbol ? ` · ${symbol}` : ""} · Bookrunner`;
  if (document.title !== title) document.title = title;
  if (live) for (const received of fresh) page.latency[page.shown++ % LATENCIES] = now() - received;
  fresh = [];
}

function drawView(scene) {
  const { view, moments, live } = scene;
  let body;
  try {
    if (live || moments.store) body = view.draw(scene);
    else body = html`<p class="wait">${moments.error ? `Not shown: ${moments.error}` : "Reading the past …"}</p>`;
  } catch (error) {
    console.error(error);
    body = html`<p class="bad" role="alert">This view cannot be drawn, which is a defect of the page: ${String(error)}</p>`;
  }
  drawnView = view;
  render(body, main);
  for (const each of main.querySelectorAll(".scroll:not([tabindex])")) each.tabIndex = 0; // to be scrolled by keys
}

let filling = null;
let due = 0;

/** Read the newest record of everything; what the stream brings meanwhile is kept. */
async function fillUp() {
  const mine = (filling = {});
  try {
    const began = Date.now();
    const told = await get("api/at");
    if (mine !== filling) return;
    const skew = told.ts - (began + Date.now()) / 2;
    page.skew = Math.abs(skew) > MOST_SKEW_MS ? skew : 0;
    page.store.fill(told.records);
    page.told = told;
    page.connection.reading = "";
  } catch (error) {
    if (mine !== filling) return;
    page.connection.reading = error.message;
    setTimeout(() => mine === filling && fillUp(), 1000);
  }
  redraw();
}

const stream = new Stream(`api/stream?topics=${NAMES.join(",")}`, {
  record(topic, id, data) {
    page.store.apply(topic, id, data);
    page.connection.last = Date.now();
    if (data.type === "BookTop" && fresh.length < LATENCIES) fresh.push(data.receivedTs);
    redraw();
  },
  opened(resumed) {
    const { connection } = page;
    const away = connection.state === "lost" ? Date.now() - connection.since : 0;
    Object.assign(connection, { state: "open", since: Date.now(), why: "", missed: null, away, last: Date.now() });
    if (!resumed) fillUp();
    else say("connected again");
    redraw();
  },
  lost(why) {
    const { connection } = page;
    if (connection.state !== "lost") Object.assign(connection, { state: "lost", since: Date.now() });
    connection.why = why;
    say(`not connected: ${why}`);
    redraw();
  },
  missed(count) {
    const before = page.connection.missed?.count ?? 0;
    page.connection.missed = { count: count === null ? null : before + count, ts: Date.now() };
    page.store.doubt();
    page.store.history.doubt();
    due ||= setTimeout(() => {
      due = 0;
      fillUp();
    }, 300);
  },
});

/** Whether keys are the element's own: who types or chooses means no view. */
const takesKeys = (element) => element?.closest?.("textarea, select, dialog, input:not([type=range], [type=checkbox], [type=radio])");

page.place.watch(redraw);
addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || takesKeys(event.target)) return;
  const view = VIEWS.find((each) => each.key === event.key && (each.shown?.(page) ?? true));
  if (event.key === "l") page.place.go({ at: null });
  else if (view) page.place.go({ view: view.id });
  else return;
  event.preventDefault();
});
setInterval(() => {
  const { connection } = page;
  connection.silent = connection.state === "open" && Date.now() - connection.last > STALE_MS;
  redraw(); // ages go on also when nothing comes
}, LOOK_MS);
main.replaceChildren(); // what is said until the page is there
redraw();
stream.run();
