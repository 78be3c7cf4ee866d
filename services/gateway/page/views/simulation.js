// Simulation: let something go wrong with a book of the simulated exchanges, and watch it recover.

import { send } from "../ask.js";
import { derived, fact, heads, html, nothing, number, panel, repeat, state } from "../dom.js";
import { seconds, span, time, whole } from "../format.js";
import { Polled } from "../polled.js";
import { attempt } from "../widgets/confirm.js";
import { stretches, strip } from "./health.js";

const EVERY_MS = 2000;
const LATELY_MS = 120_000;
const MOST_STRETCHES = 12;
const MOST_FAULTS = 50;
const WHEN = "once|probability"; // a field that is one of these two

const polled = new Polled(EVERY_MS);
let chosen = { book: "", kind: "drop", when: "once" };
let last = null; // {ts, asked, key, kind}: the newest fault that was asked for here

/** Numbers that a fault may say: label, least, most, what is proposed, step. */
const NUMBERS = {
  durationS: ["for, s", 0.1, 86_400, 5, "any"],
  probability: ["probability", 0.0001, 1, 0.2, "any"],
  graceS: ["grace, s", 0.1, 86_400, 5, "any"],
  ageS: ["age, s", 0.1, 86_400, 30, "any"],
  bytesPerS: ["bytes/s", 100, 1e9, 2000, 1],
  bps: ["bps", -5000, 5000, 50, "any"],
};

export const simulation = {
  id: "simulation",
  title: "Simulation",
  key: "i",
  shown: ({ store }) => store.all("healths").some(({ data }) => data.feed === "simulator"),
  draw(scene) {
    if (!scene.live) return html`<p class="wait">Faults are asked for now: go back to live.</p>`;
    const { value, error } = polled.look("api/simulation", scene.redraw);
    if (!value && !error) return html`<p class="wait">Asking the simulator …</p>`;
    const keys = (value?.books ?? []).map(({ venue, symbol }) => `${venue}:${symbol}`).sort();
    const key = bookOf(scene, keys);
    return html`
      ${error ? html`<p class="bad" role="alert">The simulation cannot be shown: ${error}</p>` : nothing}
      <div class="grid">
        ${key ? [inject(scene, value, keys, key), watch(scene, key), faults(value)] : nothing} ${all(scene)}
      </div>`;
  },
};

/** The book that is chosen here, by rule the first one of the page's symbol that somebody follows. */
function bookOf({ store, symbol }, keys) {
  if (keys.includes(chosen.book)) return chosen.book;
  return keys.find((each) => each.endsWith(`:${symbol}`) && store.get("healths", each)) ?? keys[0];
}

const choose = (changes) => {
  chosen = { ...chosen, ...changes };
  globalThis.bookrunner.redraw();
};

const options = (names, selected) =>
  repeat(names, (each) => each, (each) => html`<option value=${each} .selected=${each === selected}>${each}</option>`);

function inject(scene, { kinds }, keys, key) {
  const kind = kinds.find((each) => each.kind === chosen.kind) ?? kinds[0];
  const [venue] = key.split(":");
  const known = !kind.venues.length || kind.venues.includes(venue);
  const fields = [...kind.must, ...kind.may];
  const own = fields.filter((each) => each in NUMBERS || kind.choices[each]);
  return panel(
    { title: "Let something go wrong", id: "inject", mode: "simulator" },
    html`<form class="fault" @submit=${(event) => submit(event, scene, key, kind)}>
      <label>Book
        <select @change=${(event) => choose({ book: event.target.value })}>${options(keys, key)}</select></label>
      <label>Fault
        <select @change=${(event) => choose({ kind: event.target.value })}>
          ${options(kinds.map((each) => each.kind), kind.kind)}
        </select></label>
      <p class="note">${kind.meaning}.</p>
      ${fields.includes("symbol")
        ? html`<label><input type="checkbox" name="symbol" checked> of this book alone, not of all of ${venue}</label>`
        : html`<p class="note">It is of all of ${venue}.</p>`}
      ${fields.includes(WHEN) ? occasion() : nothing}
      ${repeat(own, (each) => `${kind.kind} ${each}`, (each) => field(each, kind))}
      <p class="buttons">
        <button type="submit" class="danger" ?disabled=${!known}>Inject ${kind.kind}</button>
        ${known ? nothing : html`<span class="middling">Only ${kind.venues.join(" and ")} would tell of it.</span>`}
      </p>
    </form>`,
  );
}

function occasion() {
  return html`<label>When
      <select @change=${(event) => choose({ when: event.target.value })}>
        <option value="once" .selected=${chosen.when === "once"}>once, at the next chance</option>
        <option value="probability" .selected=${chosen.when !== "once"}>at each chance, with a probability</option>
      </select></label>
    ${chosen.when === "once" ? nothing : field("probability", "change")}`;
}

function field(name, kind) {
  const needed = !kind || kind.must.includes(name);
  const choices = kind?.choices[name];
  if (choices)
    return html`<label>${name}
      <select name=${name}>
        ${needed ? nothing : html`<option value="">as by rule</option>`}
        ${choices.map((each) => html`<option value=${each}>${each}</option>`)}
      </select></label>`;
  const [label, least, most, proposed, step] = NUMBERS[name];
  return html`<label>${label}
    <input type="number" name=${name} min=${least} max=${most} step=${step} ?required=${needed}
      value=${needed || name === "durationS" ? proposed : ""}></label>`;
}

function submit(event, scene, key, kind) {
  event.preventDefault();
  const [venue, symbol] = key.split(":");
  const body = { kind: kind.kind, venue };
  if (kind.must.includes(WHEN) && chosen.when === "once") body.once = true;
  for (const [name, value] of new FormData(event.target)) {
    if (name === "symbol") body.symbol = symbol;
    else if (value !== "") body[name] = name in NUMBERS || name === "status" ? Number(value) : value;
  }
  const ts = scene.store.get("healths", key)?.data.ts ?? scene.now;
  attempt({
    title: `Inject ${kind.kind} at ${key}?`,
    action: "Inject",
    doing: "Injecting …",
    body: () => html`<p>${kind.meaning}.</p>`,
    act: async () => {
      await send("POST", "api/simulation/faults", body);
      last = { ts, asked: Date.now(), key, kind: kind.kind };
      polled.again();
      return `${kind.kind} was asked for at ${key}`;
    },
  });
}

const end = (id) =>
  attempt({
    title: id === null ? "End all faults?" : "End this fault?",
    action: "End",
    doing: "Ending …",
    body: () => html`<p>The books recover by themselves.</p>`,
    act: async () => {
      await send("DELETE", `api/simulation/faults${id === null ? "" : `/${id}`}`);
      polled.again();
      return id === null ? "all faults have ended" : "the fault has ended";
    },
  });

const COUNTS = [
  ["gaps", "gaps"],
  ["resyncs", "resyncs"],
  ["checksums that differed", "checksumFailures"],
  ["disconnects", "disconnects"],
  ["silences", "stales"],
  ["frames of no sense", "badFrames"],
  ["seq", "seq"],
];

/** The book that is chosen for a fault: its state now and of late. */
function watch({ store, now }, key) {
  const record = store.get("healths", key);
  const title = `Watching ${key}`;
  if (!record)
    return panel({ title, id: "watch" }, html`<p class="wait">Nobody follows this book: choose another one.</p>`);
  const points = store.history.of("healths", key);
  const found = stretches(points, now);
  const lately = found.filter(({ to }) => to > now - LATELY_MS).slice(-MOST_STRETCHES).reverse();
  return panel(
    { title, id: "watch", record, mode: "simulator", note: state(record.data.state) },
    html`${strip(now, points)} ${recovery(key, found)}
      <dl class="facts">
        ${fact("in this state since", number(record, "sinceTs", time))}
        ${COUNTS.map(([label, path]) => fact(label, number(record, path, whole)))}
      </dl>
      <p class="note">${record.data.reason}</p>
      <div class="scroll"><table class="lately">
        ${heads("state of late", "from, UTC", "for", "why")}
        <tbody>${lately.map(stretch)}</tbody>
      </table></div>`,
  );
}

const stretch = ({ point, from, to }) => html`<tr data-record=${point.id}>
  <td>${state(point.state)}</td><td>${derived(from, seconds, "begin of this state, by its healths")}</td>
  <td>${derived(to - from, span, "from this state's begin to the next one's")}</td><td class="why">${point.reason}</td>
</tr>`;

/** What came of the last fault: when it showed, and how long the book took to be LIVE again. */
function recovery(key, found) {
  if (last?.key !== key) return nothing;
  const after = found.filter(({ to, point }) => to > last.ts && point.state !== "LIVE");
  if (!after.length)
    return html`<p>${last.kind} was asked for ${span(Date.now() - last.asked)} ago; the book was LIVE ever since.</p>`;
  const [begin, final] = [after[0].from, after.at(-1)];
  const live = found.find(({ point, from }) => point.state === "LIVE" && from >= final.to);
  return html`<p>After ${last.kind} the book left LIVE at
    ${derived(begin, time, "begin of the first state after the fault that is not LIVE")} UTC and
    ${live
      ? html`was LIVE again after ${derived(live.from - begin, span, "from there to the begin of the next LIVE")}.`
      : html`<strong>is ${final.point.state}</strong>.`}</p>`;
}

function faults({ faults: asked, injected }) {
  const struck = Object.entries(injected).filter(([, count]) => count);
  const count = (value) => derived(value, whole, "api/simulation: injected");
  return panel(
    { title: "Faults", id: "faults", mode: "simulator" },
    html`${asked.length
        ? html`<div class="scroll"><table class="faults">
            ${heads("fault", "of", "state", "struck", "change", "how")}
            <tbody>${repeat(asked.slice(-MOST_FAULTS).reverse(), ({ id }) => id, (each) => html`<tr>
              <th scope="row">${each.kind}</th><td>${each.venue}${each.symbol ? `:${each.symbol}` : ""}</td>
              <td>${each.state}</td><td>${count(each.injected)}</td>
              <td><button type="button" @click=${() => end(each.id)} aria-label="End ${each.kind}">End</button></td>
              <td class="why">${terms(each)}</td>
            </tr>`)}</tbody>
          </table></div>
          <p><button type="button" @click=${() => end(null)}>End all</button></p>`
        : html`<p class="wait">No fault was asked for.</p>`}
      ${struck.length
        ? html`<p class="note">Since its start: ${struck.map(([kind, n]) => html`${kind} ${count(n)} `)}</p>`
        : nothing}`,
  );
}

const SAID = new Set(["id", "kind", "venue", "symbol", "injected", "state"]);

/** What else was said of a fault, in words. */
const terms = (fault) =>
  Object.entries(fault)
    .filter(([name]) => !SAID.has(name))
    .map(([name, value]) => (name === "once" ? "once" : `${name} ${value}`))
    .join(", ");

/** Every book at a glance: a fault of a venue strikes all of its books. */
function all({ store, now }) {
  return panel(
    { title: "All books", id: "books", wide: true },
    html`<ul class="books">${repeat(store.all("healths"), ({ key }) => key, (record) => html`<li>
      <span>${record.key} ${state(record.data.state)}</span>${strip(now, store.history.of("healths", record.key))}
    </li>`)}</ul>`,
  );
}
