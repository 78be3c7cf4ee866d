// The lineage of an execution: every stage from the book's delta to the reward, with its numbers, words and
// records, and its audit as this browser verifies it beside what the gateway says of it.

import { audited } from "../audit.js";
import { derived, heads, html, memo, nothing, recordLink, state } from "../dom.js";
import { cost } from "../facts.js";
import { day, time, whole } from "../format.js";
import { Polled } from "../polled.js";
import { isRunning, wholePart } from "../progress.js";
import { numbersOf } from "../stages.js";
import "./modal_box.js";

const EVERY_MS = 2000;
const OPEN = 3; // fills of a child, which are shown without being asked for

const TITLES = {
  book: "Book",
  features: "Features",
  choice: "Choice",
  sizing: "Size",
  venues: "Venues",
  plan: "Plan",
  child: "Child",
  fill: "Fill",
  ended: "End",
  shortfall: "Cost",
  reward: "Reward",
};

let opened = { id: null }; // whose lineage is looked at: its answers, and the length of its chain as they were asked for

/** Ask for what is not known yet of an execution, and again when its chain has become longer. */
function look(id, record, scene) {
  if (opened.id !== id) opened = { id, polled: new Polled(EVERY_MS), entries: -1, audit: null, error: null, asked: 0 };
  const mine = opened;
  const entries = record?.data.audit.entries ?? 0;
  const due = entries !== mine.entries && Date.now() - mine.asked > EVERY_MS && !mine.polled.busy;
  if (due) {
    Object.assign(mine, { entries, asked: Date.now() });
    mine.polled.again();
    check(mine, record, scene);
  }
  if (due || !mine.polled.value) mine.polled.look(`api/exec/${encodeURIComponent(id)}/lineage`, scene.redraw);
  return mine;
}

async function check(mine, record, scene) {
  try {
    const head = (scene.live && record?.data.audit) || null;
    mine.audit = { ...(await audited(mine.id, head)), head };
    mine.error = null;
  } catch (error) {
    mine.error = error.message;
  }
  scene.redraw();
}

/** The dialog with the lineage of the execution that the address names; its record where it is among the newest. */
export function lineage(scene, record, path = nothing) {
  const { execution, fill } = scene.place;
  const { polled, audit, error } = look(execution, record, scene);
  const { value } = polled;
  const close = () => scene.go({ execution: null, fill: null });
  return html`<modal-box><dialog class="lineage" aria-labelledby="lineage-title" @close=${close}>
    <div class="inside">
      <header>
        <h2 id="lineage-title">${record ? html`${record.data.symbol} ${state(record.data.status)}` : "Execution"}
          <span class="note">${execution}</span></h2>
        <button type="button" autofocus @click=${(event) => event.target.closest("dialog").close()}>Close</button>
      </header>
      ${record ? ofRecord(record, path) : nothing}
      ${polled.error ? html`<p class="bad" role="alert">Its lineage cannot be told: ${polled.error}</p>` : nothing}
      ${value ? memo([value, fill, scene.place.at], () => stages(value, fill, scene)) : polled.error ? nothing : html`<p class="wait">Reading its records …</p>`}
      <h3>Audit</h3>
      ${audit ? memo([audit], () => auditOf(audit)) : html`<p class=${error ? "bad" : "wait"}>${error ?? "Reading its audit …"}</p>`}
    </div>
  </dialog></modal-box>`;
}

function ofRecord(record, path) {
  const whole = wholePart(record);
  const { shortfall, reason, policyId, signal } = record.data;
  return html`<div data-record=${whole.id || nothing}>
    <p>${policyId ? html`Policy ${policyId}` : "No policy"}${signal ? html`: ${signal.reason}` : nothing}${reason ? html`; ${reason}` : nothing}</p>
    <h3>What did it cost?</h3>
    ${shortfall ? cost(whole) : html`<p class="wait">${isRunning(record.data) ? "It still runs." : "No child was sent, so nothing was paid."}</p>`}
  </div>${path}`;
}

function stages({ stages: list, fills }, chosen, scene) {
  const { at: until } = scene.place;
  return html`<h3>From the book to the reward <span class="note">${derived(list.length, whole, "stages of the lineage")} stages,
      ${derived(fills.length, whole, "fills of the lineage")} fills</span></h3>
    <ol class="stages">
      ${grouped(list).map((group) => stage(group, chosen, until ?? Infinity))}
    </ol>`;
}

/** The stages, each with the fills that are of it: those of a child. */
function grouped(list) {
  const groups = [];
  for (const each of list) {
    const isOf = ([{ stage: name, data }]) => name === "child" && data.clOrdId === each.data?.clOrdId;
    const child = each.stage === "fill" && groups.findLast(isOf);
    if (child) child.push(each);
    else groups.push([each]);
  }
  return groups;
}

function stage([{ stage: name, ts, words, record, data }, ...fills], chosen, until) {
  const isOne = (each) => chosen !== null && each?.execId === chosen;
  const isChosen = name === "fill" && isOne(data);
  const later = ts > until;
  return html`<li
    class="stage ${isChosen ? "chosen" : ""} ${later ? "later" : ""}"
    data-stage=${name}
    data-record=${record?.id ?? nothing}
    aria-current=${isChosen ? "true" : nothing}
  >
    ${isChosen ? html`<in-view></in-view>` : nothing}
    <h4>${TITLES[name] ?? name}
      <span class="note">${ts ? derived(ts, time, "when the stage was, UTC") : nothing}${later ? " after the moment that is shown" : ""}</span>
      ${record ? recordLink(record.id) : html`<span class="note">no record of its own</span>`}
    </h4>
    <p>${words}</p>
    ${numbersOf(name, record, data)}
    ${fills.length
      ? html`<details ?open=${fills.length <= OPEN || fills.some((each) => isOne(each.data))}>
          <summary>Its ${derived(fills.length, whole, "fills of this child")} fills</summary>
          <ol class="stages">${fills.map((each) => stage([each], chosen, until))}</ol>
        </details>`
      : nothing}
  </li>`;
}

/** The chain as this browser finds it, beside what the gateway says. */
function auditOf({ gateway, own, cannot, head }) {
  const { verified, problems, decisions, otherVersions } = gateway;
  return html`<div class="audit" data-verified=${own ? String(own.verified) : "unknown"}>
    <p>${own
      ? own.verified
        ? html`<strong class="good">Verified in this browser</strong>: ${derived(own.entries.length, whole, "entries of the chain")}
            entries, each hash made again by SHA-256 over its canonical JSON${head ? ", up to the entry that its record names" : nothing}.`
        : html`<strong class="bad">Altered</strong>: ${derived(own.problems.length, whole, "faults found in this browser")} faults were found in this browser.`
      : html`<strong class="middling">Not verified in this browser</strong>: ${cannot}.`}</p>
    ${own?.problems.length ? html`<ul class="bad" role="alert">${own.problems.map((words) => html`<li>${words}</li>`)}</ul>` : nothing}
    <p>The gateway says: <strong class=${verified ? "good" : "bad"}>${verified ? "verified" : "not verified"}</strong>,
      ${derived(decisions, whole, "api/audit: decisions made again from what was logged")} decisions made again${verified ? " came out the same" : nothing}${otherVersions.length ? html`; of other versions, and not made again: ${otherVersions.join("; ")}` : nothing}.</p>
    ${problems.length ? html`<ul class="bad">${problems.map((words) => html`<li>${words}</li>`)}</ul>` : nothing}
    ${own ? entriesOf(own.entries) : nothing}
  </div>`;
}

function entriesOf(entries) {
  return html`<details><summary>The chain, entry by entry</summary>
    <div class="scroll" tabindex="0" role="group" aria-label="Entries of the audit"><table class="chain">
      ${heads("entry", "when (UTC)", "what", "hash", "here")}
      <tbody>${entries.map(
        ({ seq, kind, ts, hash, wrong }) => html`<tr class=${wrong.length ? "bad" : ""}>
          <td>${derived(seq, whole, "api/audit: number of the entry")}</td><td>${derived(ts, day, "api/audit: when it was written")}</td>
          <th scope="row">${kind}</th><td><code title=${hash}>${String(hash).slice(0, 12)}…</code></td>
          <td>${wrong.length ? wrong.join("; ") : "right"}</td></tr>`,
      )}</tbody>
    </table></div></details>`;
}
