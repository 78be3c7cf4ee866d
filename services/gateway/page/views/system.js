// System: which services do their work, what the topics take, what could not be handled, what somebody must know
// of; and what trading is halted.

import { derived, heads, html, nothing, number, panel, recordLink, repeat, state } from "../dom.js";
import { day, fixed, percent, seconds, significant, span, whole } from "../format.js";
import { askHalt, askResume, haltsOf } from "../halt.js";
import { Polled } from "../polled.js";

const EVERY_MS = 2000;
const SILENT_MS = 5000; // of a service's heartbeat, which comes every second
const FORGET_MS = 600_000;

const polled = new Polled(EVERY_MS);
const few = significant(3);
const bytes = (value) => (value < 1e3 ? `${whole(value)} B` : value < 1e6 ? `${few(value / 1e3)} kB` : `${few(value / 1e6)} MB`);
const rate = (value) => (value < 10 ? fixed(2) : whole)(value);
const told = (value, write, name) => derived(value, write, `api/system: ${name}`);

export const system = {
  id: "system",
  title: "System",
  key: "s",
  draw(scene) {
    const asked = scene.live ? polled.look("api/system", scene.redraw) : { value: null };
    const { value } = asked;
    return html`
      <div class="grid even">
        ${scene.live ? readiness(asked) : past()} ${trading(scene)} ${value ? alerts(value.alerts) : nothing}
      </div>
      <div class="grid">
        ${services(scene)} ${value ? [letters(value.deadLetters), topics(value)] : nothing}
      </div>
    `;
  },
};

const past = () =>
  panel(
    { title: "Then", id: "ready" },
    html`<p class="wait">Of the past, services and halts are shown. Readiness, topics, dead letters and alerts are asked
      as of now: go back to live.</p>`,
  );

function readiness({ value, error, at }) {
  const words = !value ? "not known" : !value.ready ? "not ready" : value.degraded.length ? "degraded" : "ready";
  const late = at ? html`Not asked again for ${span(Date.now() - at)}: ` : nothing;
  return panel(
    { title: "Readiness", id: "ready", note: state(words) },
    html`${error ? html`<p class="bad" role="alert">${late}${error}</p>` : nothing}
      ${value ? judged(value) : html`<p class="wait">${error ? nothing : "Asking the gateway …"}</p>`}`,
  );
}

function judged({ ready, missing, degraded, views, ts }) {
  const list = (title, lines) =>
    lines.length ? html`<h3>${title}</h3><ul>${lines.map((line) => html`<li>${line}</li>`)}</ul>` : nothing;
  const behind = views.filter((view) => !view.ready || view.lag);
  return html`
    ${ready && !degraded.length ? html`<p>Every route does its work, and everything is as it should be.</p>` : nothing}
    ${list("Missing, before every route does its work", missing)} ${list("Not as it should be", degraded)}
    <p class="note">As of ${told(ts, seconds, "ts, UTC")} UTC;
      ${behind.length
        ? html`the gateway is behind on ${behind.map(late)}`
        : html`what the gateway shows of ${told(views.length, whole, "number of views")} topics is up to date`}.</p>`;
}

const late = ({ topic, lag }) => html`${topic} by ${told(lag, whole, "lag, messages")} `;

function trading(scene) {
  const halts = haltsOf(scene.store);
  const words = halts.length ? html`<span class="bad">halted</span>` : html`<span class="good">goes on</span>`;
  return panel(
    { title: "Trading", id: "halts", mode: "paper", note: words },
    html`${halts.length
        ? html`<div class="scroll"><table>
            ${heads("what", "since, UTC", "by", "why", "change")}
            <tbody>${repeat(halts, ({ key }) => key, halt)}</tbody>
          </table></div>`
        : html`<p>Nothing is halted.</p>`}
      <p><button type="button" class="danger" @click=${() => askHalt(scene)}>Halt …</button></p>`,
  );
}

function halt(record) {
  const { scope, by, reason } = record.data;
  return html`<tr data-record=${record.id}>
    <th scope="row">${scope}</th><td>${number(record, "ts", day)}</td><td>${by}</td>
    <td class="why">${reason} ${recordLink(record.id, "record")}</td>
    <td><button type="button" @click=${() => askResume(record)} aria-label="Resume ${scope}">Resume</button></td>
  </tr>`;
}

function alerts(all) {
  const note = all.length
    ? html`<span class="bad">${told(all.length, whole, "number of alerts")} stand</span>`
    : html`<span class="good">none</span>`;
  return panel(
    { title: "Alerts", id: "alerts", note },
    all.length
      ? html`<ul class="alerts">${all.map(alert)}</ul>`
      : html`<p class="wait">Nothing stands that somebody must know of.</p>`,
  );
}

const alert = ({ severity, cause, since, words, toDo, runbook }) => html`<li>
  <strong class=${severity === "critical" ? "bad" : "middling"}>${severity}</strong> ${cause}, since
  ${told(since, day, "since of the alert, UTC")} UTC<br>${words}<br><span class="note">${toDo}; ${runbook}</span>
</li>`;

/** Processes by their newest heartbeat; of a service's silent ones only those that nobody stands in for. */
function services(scene) {
  const all = scene.store.all("services").map((record) => ({ record, age: Math.max(0, scene.now - record.data.ts) }));
  const living = new Set(all.filter(({ age }) => age <= SILENT_MS).map(({ record }) => record.data.service));
  const shown = all.filter(({ record, age }) => age < FORGET_MS || !living.has(record.data.service));
  return panel(
    { title: "Services", id: "services", wide: true },
    shown.length
      ? html`<div class="scroll"><table class="services">
          ${heads("service", "state", "partitions", "heard", "so since, UTC", "instance", "version", "what it says")}
          <tbody>${repeat(shown, ({ record }) => record.key, process)}</tbody>
        </table></div>`
      : html`<p class="wait">No service was heard.</p>`,
  );
}

function process({ record, age }) {
  const { service, instance, version, partitionsOwned = [], partitionsStopped = [], detail, state: said } = record.data;
  const stopped = partitionsStopped.length
    ? html` <span class="bad">stopped: ${partitionsStopped.join(", ")}</span>`
    : nothing;
  const owned = partitionsOwned.length ? derived(partitionsOwned.length, whole, "number of partitionsOwned") : nothing;
  return html`<tr data-record=${record.id}>
    <th scope="row">${service}</th><td>${state(age > SILENT_MS ? "silent" : said)}</td>
    <td title=${partitionsOwned.join(", ")}>${owned}${stopped}</td>
    <td>${derived(age, span, "now minus ts of the heartbeat")} ago</td><td>${number(record, "sinceTs", day)}</td>
    <td>${instance}</td><td>${version}</td><td class="why">${detail}</td>
  </tr>`;
}

function letters({ count, newest, why }) {
  const note = html`${told(count, whole, "deadLetters.count")} are kept`;
  return panel(
    { title: "Dead letters", id: "letters", wide: true, note },
    html`${why ? html`<p class="middling">${why}</p>` : nothing}
      ${newest.length
        ? html`<div class="scroll"><table class="letters">
            ${heads("when, UTC", "from", "key", "why", "place")}
            <tbody>${repeat(newest, ({ id }) => id, letter)}</tbody>
          </table></div>`
        : html`<p class="wait">Everything could be handled.</p>`}`,
  );
}

const letter = ({ ts, topic, key, reason, id }) => html`<tr>
  <td>${told(ts, day, "ts of the letter")}</td><td>${topic}</td><td>${key}</td><td class="why">${reason}</td>
  <td>${id}</td>
</tr>`;

const SHARE = ({ bytes: size, budgetBytes }) => (size === null || !budgetBytes ? null : size / budgetBytes);

/** The columns of the topics: name, and the value that they are sorted by. */
const COLUMNS = [
  ["topic", ({ topic }) => topic],
  ["records/s", ({ perSecond }) => perSecond],
  ["records", ({ records }) => records],
  ["size", ({ bytes: size }) => size],
  ["of its budget", SHARE],
  ["oldest", ({ oldestTs }, _, ts) => (oldestTs === null ? null : ts - oldestTs)],
  ["gateway behind", ({ topic }, seen) => seen.get(topic)?.lag],
];
let [by, down] = [1, true]; // the column that the topics are sorted by, the largest first or last

function sorted(all, seen, ts) {
  const value = (each) => COLUMNS[by][1](each, seen, ts) ?? -1;
  const compare = (a, b) => (a === b ? 0 : (a < b) === down ? 1 : -1);
  return [...all].sort((a, b) => compare(value(a), value(b)) || (a.topic < b.topic ? -1 : 1));
}

function sorters() {
  const sort = (at) => {
    [by, down] = [at, at === by ? !down : at > 0];
    globalThis.bookrunner.redraw();
  };
  return html`<thead><tr>${COLUMNS.map(([name], at) => html`<th scope="col"
    aria-sort=${at !== by ? nothing : down ? "descending" : "ascending"}><button type="button" class="sort"
    @click=${() => sort(at)}>${name}<span aria-hidden="true">${at !== by ? "" : down ? " ▼" : " ▲"}</span></button></th>`)}</tr></thead>`;
}

function topics({ topics: all, views, ts }) {
  const seen = new Map(views.map((view) => [view.topic, view]));
  return panel(
    { title: "Topics", id: "topics", wide: true, note: "records a second between the gateway's last two looks" },
    all.length
      ? html`<div class="scroll"><table class="topics">
          ${sorters()}
          <tbody>${repeat(sorted(all, seen, ts), ({ topic }) => topic, (each) => topicOf(each, seen.get(each.topic), ts))}</tbody>
        </table></div>`
      : html`<p class="wait">Kafka has not said yet what they take.</p>`,
  );
}

function topicOf({ topic, records, bytes: size, perSecond, budgetBytes, oldestTs }, view, ts) {
  const share = SHARE({ bytes: size, budgetBytes });
  const age = oldestTs === null ? null : Math.max(0, ts - oldestTs);
  return html`<tr>
    <th scope="row">${topic}</th>
    <td>${told(perSecond, rate, "perSecond")}</td>
    <td>${told(records, whole, "records")}</td>
    <td>${told(size, bytes, "bytes")}</td>
    <td>${share === null ? nothing : meter(share, topic)} ${derived(share, percent(1), "bytes of budgetBytes")}</td>
    <td>${derived(age, span, "ts minus oldestTs of api/system")}${age === null ? nothing : " ago"}</td>
    <td>${view ? told(view.lag, whole, "lag of the gateway's view") : nothing}</td>
  </tr>`;
}

const meter = (share, topic) => html`<meter min="0" max="1" high="0.9" optimum="0" .value=${Math.min(1, share)}
  aria-label="share of its budget that ${topic} takes"></meter>`;
