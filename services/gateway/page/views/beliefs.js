// Beliefs: what the router expects of each policy, how sure it is, what it chose last and of what.

import "../widgets/density_plot.js";
import "../widgets/line_plot.js";
import { get } from "../ask.js";
import { modeOf } from "../bar.js";
import { derived, fact, heads, html, memo, nothing, number, panel, recordLink } from "../dom.js";
import { bps, fixed, percent, significant, signedBps, span, time, whole } from "../format.js";

const BPS = 1e4;
const OF_CHOICES = 20; // over which a share is told
const HUES = 6;
const RANGES = [0, 1]; // of shares

const asBps = (value) => signedBps(BPS * value);
const widthInBps = (value) => bps(BPS * value);
const few = significant(4);
const share = percent(1);
const hue = (at) => (at % HUES) + 1;
const swatch = (at) => html`<i class="swatch hue-${hue(at)}"></i>`;

/** What the numbers mean, for whoever points at them. */
const BEST =
  "how probable it is, as far as was learnt, that no other policy which may be chosen now has a larger expected " +
  "reward at this context: the integral over all the densities, not how often it is chosen";
const CHOSEN_WITH =
  "how probable it was that it is chosen: scores are drawn from narrower laws than these densities, and a few " +
  "choices are uniform";
const VALUE = "what always choosing it would have earned a decision, over the decisions that could choose it";
const AT_ANY_TIME = "holds the value with 95 %, at whatever time it is looked at";
const OVERLAP = "of the rewarded decisions that could choose it, those in which it had 2 % or more";
const WORTH = "how many decisions of equal weight would be as certain";

export const beliefs = {
  id: "beliefs",
  title: "Beliefs",
  key: "b",
  draw(scene) {
    const { store, place } = scene;
    const scopes = store.all("snapshots");
    const named = (name) => scopes.find(({ data }) => data.scope === name);
    const snapshot = named(place.scope) ?? named("default") ?? scopes[0];
    if (!snapshot) return html`<p class="wait">No router has said anything yet: it does with the first choice.</p>`;
    const points = store.history.of("choices", snapshot.data.scope);
    const choice = store.get("choices", snapshot.data.scope) ?? newestOf(points, scene);
    const modes = new Set(store.all("healths").map(modeOf));
    const mode = modes.size === 1 ? [...modes][0] : "unknown"; // of the books that everything is learnt from
    return html`
      ${scopes.length > 1 || place.scope ? scopeChoice(scene, scopes, snapshot) : nothing}
      <div class="grid beliefs">
        ${memo([snapshot, choice, mode, unread(snapshot)], () => posteriors(snapshot, choice, mode))}
        ${memo([snapshot, points.length, points.at(-1), mode], () => shares(snapshot, points, mode))}
        ${memo([snapshot, mode], () => offPolicy(snapshot, mode))}
        ${memo([snapshot, choice, scene.now, mode], () => lastChoice(scene, snapshot, choice, mode))}
        ${memo([snapshot, mode], () => memories(snapshot, mode))}
      </div>
    `;
  },
};

/** The record that was asked for last, and what came of it. */
const asked = { id: null, record: undefined, why: "" };

/** Why there is no record of the last choice to read from. */
function unread({ data }) {
  if (data.lastChoice === null) return "nothing was chosen yet";
  if (asked.id && !asked.record) return asked.why ? `its record cannot be read: ${asked.why}` : "its record is being read";
  return "its record is older than those that are kept";
}

/** The newest choice among points, read from the topic: where the state of a moment does not hold it. */
function newestOf(points, { redraw }) {
  const id = points.findLast(({ type }) => type === "PolicyChosen")?.id;
  if (id === undefined || id === asked.id) return id && asked.record;
  Object.assign(asked, { id, record: undefined, why: "" });
  get(`api/records/${id.replaceAll(":", "/")}`).then((record) => {
    if (asked.id === id) asked.record = record;
    redraw();
  }, ({ message }) => {
    if (asked.id === id) asked.why = message;
    redraw();
  });
  return undefined;
}

function scopeChoice(scene, scopes, snapshot) {
  const option = ({ data: { scope } }) =>
    html`<option value=${scope} .selected=${scope === snapshot.data.scope}>${scope}</option>`;
  return html`<p><label>Scope
    <select @change=${(event) => scene.go({ scope: event.target.value })}>${scopes.map(option)}</select>
  </label> <span class="note">the policies of a scope learn together</span></p>`;
}

function posteriors(snapshot, choice, mode) {
  const { data } = snapshot;
  const rewards = html`after ${number(snapshot, "updates", whole)} rewards`;
  const note = data.decidedTs === null ? html`before any choice, ${rewards}`
    : html`at the context of the choice of ${number(snapshot, "decidedTs", time)}, ${rewards}`;
  return panel(
    { title: "Expected reward of a decision", id: "posteriors", record: snapshot, mode, wide: true, note },
    html`<density-plot
        .label=${"Densities of the expected reward of a decision, in bps of equity"}
        .write=${asBps}
        .laws=${laws(data)}
        .version=${snapshot.id}
      ></density-plot>
      ${data.weights?.length
        ? html`<p class="note">bps of equity a decision. Each curve has its own height; the bar below it is the 90 %
            interval, at the right stands with what probability the policy is best, ▲ is what was drawn of it for the
            last choice.</p>`
        : html`<p class="wait">The record holds no whole densities: an older router wrote it.</p>`}
      <div class="scroll"><table>
        ${heads("policy", ["best with", BEST], "expected, bps", "90 % interval, bps",
          "mean of its rewards, bps", "rewards", ["chosen with", CHOSEN_WITH], "share of all choices")}
        <tbody>${data.policies.map((policy, n) => belief(snapshot, policy, n, choice))}</tbody>
      </table></div>
      <p><strong>Proven best: ${data.best ?? "none yet"}</strong>. ${data.bestWhy}</p>
      <details class="note"><summary>What these numbers are</summary><dl>
        <dt>best with</dt><dd>${BEST}</dd>
        <dt>chosen with</dt><dd>${CHOSEN_WITH}</dd>
        <dt>expected</dt><dd>mean of the density: what a decision for it earns on average at this context</dd>
        <dt>density</dt><dd>a mixture of ${derived(data.weights?.length, whole, "how many weights the record has")}
          Student's t, one for each copy of the model that choices trust</dd>
      </dl></details>`,
  );
}

function laws({ policies, weights, sampledScores }) {
  const law = ({ policyId, belief, estimate, low, high }, n) => ({
    ...belief,
    ...{ label: policyId, weights, mean: estimate, low, high, chance: belief.best },
    ...{ mark: sampledScores[policyId], hue: hue(n) },
  });
  return weights?.length ? policies.filter(({ belief }) => belief).map(law) : [];
}

function belief(snapshot, { policyId, registered, version, expectedReward }, n, choice) {
  const path = `policies.${n}`;
  const last = policyId === snapshot.data.lastChoice;
  const notes = [
    version,
    ...(registered ? [] : ["cannot be chosen: it is not registered, or quarantined"]),
    ...(last ? ["chosen last"] : []),
  ];
  const stated = html`<span class="note">stated ${number(snapshot, `${path}.expectedReward`, asBps)}</span>`;
  return html`<tr class=${last ? "chosen" : ""}>
    <th scope="row">${swatch(n)}${policyId} <span class="note">${notes.filter(Boolean).join(", ")}</span></th>
    <td><strong>${number(snapshot, `${path}.belief.best`, share)}</strong></td>
    <td>${number(snapshot, `${path}.estimate`, asBps)} ${(expectedReward ?? null) === null ? nothing : stated}</td>
    <td>${number(snapshot, `${path}.low`, asBps)} … ${number(snapshot, `${path}.high`, asBps)}</td>
    <td>${number(snapshot, `${path}.meanReward`, asBps)}</td>
    <td>${number(snapshot, `${path}.updates`, whole)}</td>
    <td data-record=${choice?.id ?? nothing}>${Object.hasOwn(choice?.data.propensities ?? {}, policyId)
      ? number(choice, `propensities.${policyId}`, share)
      : html`<span class="note">${choice ? "could not be" : unread(snapshot)}</span>`}</td>
    <td>${number(snapshot, `${path}.share`, share)}</td>
  </tr>`;
}

/** The shares that were computed last. */
const computed = { of: null, found: [], alarms: [], chosen: [] };

/** Of each policy its share of the newest choices, at each choice, and the drift alarms. */
function lines(scope, points, names) {
  const of = JSON.stringify([scope, names, points.length, points.at(-1)?.id]);
  if (computed.of === of) return computed;
  const chosen = points.filter(({ type }) => type === "PolicyChosen");
  const counts = new Map(names.map((name) => [name, 0]));
  const count = (name, by) => counts.set(name, (counts.get(name) ?? 0) + by);
  const found = names.map(() => []);
  chosen.forEach(({ ts, policyId }, at) => {
    count(policyId, 1);
    if (at >= OF_CHOICES) count(chosen[at - OF_CHOICES].policyId, -1);
    names.forEach((name, n) => found[n].push([ts, counts.get(name) / Math.min(at + 1, OF_CHOICES)]));
  });
  const alarms = points.filter(({ driftAlarm }) => driftAlarm);
  const marks = alarms.map(({ ts, policyId }) => ({ ts, label: `drift alarm at ${policyId}` }));
  return Object.assign(computed, { of, found, alarms: marks, chosen });
}

function shares(snapshot, points, mode) {
  const names = snapshot.data.policies.map(({ policyId }) => policyId);
  const { found, alarms, chosen } = lines(snapshot.data.scope, points, names);
  const count = derived(alarms.length, whole, "rewards with driftAlarm in the time that is shown");
  const note = html`each over ${OF_CHOICES} choices; drift alarms: ${count} in this time,
    ${number(snapshot, "driftAlarms", whole)} ever`;
  const said = html`<p class="note">▼ drift alarm: rewards left what the model expects, and a copy of it began anew
    that forgot the past. ${alarms.slice(-5).map(({ ts, label }) => html`${time(ts)}: ${label}. `)}</p>`;
  return panel(
    { title: "Shares of the choices", id: "shares", wide: true, record: snapshot, mode, note },
    chosen.length
      ? html`<line-plot
            .label=${`Share of the last ${OF_CHOICES} choices, by policy`}
            .write=${percent(0)}
            .ranges=${RANGES}
            .series=${names.map((label, n) => ({ label, hue: hue(n), step: true }))}
            .points=${found}
            .marks=${alarms}
          ></line-plot>
          ${alarms.length ? said : nothing}`
      : html`<p class="wait">No choice in this time.</p>`,
  );
}

function offPolicy(snapshot, mode) {
  const note = "doubly robust, from the propensities of the choices that were made";
  return panel(
    { title: "What always choosing one would have earned", id: "off policy", wide: true, record: snapshot, mode, note },
    html`<div class="scroll"><table>
      ${heads("policy", ["value, bps", VALUE], ["95 % interval, bps", AT_ANY_TIME], ["0 is the line", undefined, "plot"],
        ["overlap", OVERLAP], ["worth decisions", WORTH], "rewarded decisions")}
      <tbody>${snapshot.data.policies.map((policy, n) => value(snapshot, policy, n))}</tbody>
    </table></div>`,
  );
}

function value(snapshot, { policyId, dr }, n) {
  const path = `policies.${n}`;
  const known = dr && dr.low !== null;
  return html`<tr>
    <th scope="row">${swatch(n)}${policyId}</th>
    <td>${number(snapshot, `${path}.dr.value`, asBps)}</td>
    <td>${known
      ? html`${number(snapshot, `${path}.dr.low`, asBps)} … ${number(snapshot, `${path}.dr.high`, asBps)}`
      : html`<span class="note told">${dr?.why || "an older router wrote this record"}</span>`}</td>
    <td class="plot">${known ? whisker(dr, snapshot.data.policies, hue(n)) : nothing}</td>
    <td>${number(snapshot, `${path}.dr.overlap`, percent(0))}</td>
    <td>${number(snapshot, `${path}.ess`, fixed(1))}</td>
    <td>${number(snapshot, `${path}.rewarded`, whole)}</td>
  </tr>`;
}

/** An interval on an axis that all of them share, with 0 marked; the numbers stand beside it. */
function whisker({ value, low, high }, policies, colour) {
  const known = policies.map(({ dr }) => dr).filter((dr) => dr && dr.low !== null);
  const least = Math.min(0, ...known.map((dr) => dr.low));
  const most = Math.max(0, ...known.map((dr) => dr.high));
  const x = (at) => 4 + (112 * (at - least)) / (most - least || 1);
  return html`<svg class="whisker hue-${colour}" width="120" height="14" viewBox="0 0 120 14" aria-hidden="true">
    <line class="zero" x1=${x(0)} x2=${x(0)} y1="0" y2="14"></line>
    <line class="interval" x1=${x(low)} x2=${x(high)} y1="7" y2="7"></line>
    <circle cx=${x(value)} cy="7" r="3"></circle>
  </svg>`;
}

function lastChoice(scene, snapshot, choice, mode) {
  const what = { title: "The last choice", id: "choice", wide: true };
  if (!choice) {
    const { lastChoice: name, decidedTs } = snapshot.data;
    const words = name === null ? "" : `${name} was chosen at ${time(decidedTs)} UTC; `;
    return panel(what, html`<p class="wait">${words}${unread(snapshot)}.</p>`);
  }
  const { data } = choice;
  const age = derived(Math.max(0, scene.now - data.ts), span, "now − ts");
  const note = html`${number(choice, "ts", time)}, ${age} ago ${recordLink(choice.id)}`;
  const ranked = Object.keys(data.scores).sort((a, b) => data.scores[b] - data.scores[a]);
  const why = data.explored ? "by chance, as now and then any is, whatever it scores"
    : "as it drew the largest score";
  return panel(
    { ...what, record: choice, mode, note },
    html`<p><strong>${data.policyId}</strong> ${data.policyVersion} was chosen ${why}:
        ${number(choice, "score", asBps)} bps, of which ${number(choice, "explorationBonus", asBps)} bps are the draw's.
        It was chosen with ${number(choice, "propensity", share)}. What is expected of it is
        ${number(choice, "width", widthInBps)} bps wide (90 %), and was ${number(choice, "priorWidth", widthInBps)} bps
        before any reward.</p>
      <div class="scroll"><table>
        ${heads("policy", "drawn score, bps", "expected, bps", ["chosen with", CHOSEN_WITH], "its signal",
          "rewards then")}
        <tbody>${ranked.map((name) => html`<tr class=${name === data.policyId ? "chosen" : ""}>
          <th scope="row">${name}</th>
          <td>${number(choice, `scores.${name}`, asBps)}</td>
          <td>${number(choice, `means.${name}`, asBps)}</td>
          <td>${number(choice, `propensities.${name}`, share)}</td>
          <td>${number(choice, `arms.${name}.signal`, fixed(3))}</td>
          <td>${number(choice, `versions.${name}`, whole)}</td>
        </tr>`)}</tbody>
      </table></div>
      <div class="pair">${memo([choice], () => inputs(choice))} ${memo([choice], () => features(choice))}</div>`,
  );
}

function inputs(choice) {
  const { inputs: values, filled, sources, unfitted, missing, ignored } = choice.data;
  const by = (name) => {
    if (sources[name] === "stub") return html`<span class="middling">a stub: it means nothing</span>`;
    return filled.includes(name) ? sources[name] || "filled, its source is not named" : "the asker";
  };
  const fresh = (name) => (unfitted.includes(name) ? html` <span class="middling">not fitted yet</span>` : nothing);
  const row = (name) => html`<tr>
    <th scope="row">${name}</th>
    <td>${typeof values[name] === "number" ? number(choice, `inputs.${name}`, few) : values[name]}</td>
    <td class="plot">${by(name)}${fresh(name)}</td>
  </tr>`;
  const gap = (name) =>
    html`<tr><th scope="row">${name}</th><td class="none">missing</td><td class="none plot">imputed</td></tr>`;
  return html`<div>
    <h3>Inputs</h3>
    <div class="scroll"><table>
      ${heads("name", "value", ["said by", undefined, "plot"])}
      <tbody>${Object.keys(values).map(row)}${missing.map(gap)}</tbody>
    </table></div>
    ${ignored?.length ? html`<p class="note">Left out, as no input is called so: ${ignored.join(", ")}</p>` : nothing}
  </div>`;
}

const MOST_FEATURE = 4; // features are clipped there

function features(choice) {
  const values = choice.data.features;
  const x = (value) => 40 + (40 * Math.max(-MOST_FEATURE, Math.min(MOST_FEATURE, value))) / MOST_FEATURE;
  const bar = (end) => html`<svg class="signed" width="80" height="10" viewBox="0 0 80 10" aria-hidden="true">
    <line class="zero" x1="40" x2="40" y1="0" y2="10"></line>
    <rect x=${Math.min(40, end)} width=${Math.abs(end - 40)} y="2" height="6"></rect>
  </svg>`;
  const row = (name) => html`<tr>
    <th scope="row">${name}</th>
    <td>${number(choice, `features.${name}`, fixed(3))}</td>
    <td class="plot">${bar(x(values[name]))}</td>
  </tr>`;
  const names = Object.keys(values), zeros = names.filter((name) => values[name] === 0);
  const table = (some) => html`<div class="scroll"><table>
    ${heads("feature", "value", ["−4 … 4", undefined, "plot"])}
    <tbody>${some.map(row)}</tbody>
  </table></div>`;
  return html`<div>
    <h3>Features, as the model sees them</h3>
    ${table(names.filter((name) => values[name] !== 0))}
    ${zeros.length
      ? html`<details>
          <summary>${derived(zeros.length, whole, "features that are 0")} more are 0</summary>
          ${table(zeros)}
        </details>` : nothing}
  </div>`;
}

function memories(snapshot, mode) {
  const { memories: copies, stubs, retired } = snapshot.data;
  const bar = (weight) => html`<svg class="bar" width="120" height="10" viewBox="0 0 120 10" aria-hidden="true">
    <rect width=${120 * weight} height="10"></rect>
  </svg>`;
  return panel(
    { title: "What it remembers", id: "memories", record: snapshot, mode, wide: true,
      note: "copies of the model that forget at different rates, weighed by how well they foresaw rewards" },
    html`<div class="pair"><div class="scroll"><table>
        ${heads("copy", "trusted", ["0 … 100 %", undefined, "plot"])}
        <tbody>${copies.map(({ name, weight }, n) => html`<tr>
          <th scope="row">${name}</th>
          <td>${number(snapshot, `memories.${n}.weight`, share)}</td>
          <td class="plot">${bar(weight)}</td>
        </tr>`)}</tbody>
      </table></div>
      <dl class="facts">
        ${fact("noise of a reward", html`${number(snapshot, "noise", widthInBps)} bps`)}
        ${fact("choices", number(snapshot, "choices", whole))}
        ${fact("rewards", number(snapshot, "updates", whole))}
        ${fact("decisions and answers remembered", number(snapshot, "pending", whole))}
        ${fact("drift alarms", number(snapshot, "driftAlarms", whole))}
      </dl></div>
      ${stubs.length
        ? html`<p class="middling">Inputs of stubs, whose values mean nothing: ${stubs.join(", ")}</p>` : nothing}
      ${retired.length ? html`<p class="note">Chosen no more: ${retired.join(", ")}</p>` : nothing}`,
  );
}
