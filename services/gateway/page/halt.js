// The red button: halt trading, and resume it, each asked for once more; from anywhere in two clicks.

import { send } from "./ask.js";
import { html, nothing } from "./dom.js";
import { confirm } from "./widgets/confirm.js";

const ALL = "all";

/** The halts that stand, those of everything first. */
export const haltsOf = (store) =>
  store
    .all("controls")
    .filter(({ data }) => data.type === "TradingHalted")
    .sort((a, b) => (b.data.scope === ALL) - (a.data.scope === ALL));

/** What can be halted, by what it is of. */
function scopesOf(store) {
  const names = (prefix, found) => [...new Set(found)].sort().map((name) => `${prefix}:${name}`);
  const books = store.all("healths").map(({ data }) => data);
  return [
    ALL,
    ...names("symbol", books.map(({ symbol }) => symbol)),
    ...names("venue", books.map(({ venue }) => venue)),
    ...names("policy", store.all("policies").map(({ data }) => data.policyId)),
  ];
}

const reasonFor = (proposed) =>
  html`<label>Why <input name="reason" required maxlength="200" autocomplete="off" value=${proposed}></label>`;

/** Ask whether to halt; the reason is kept with the halt, for whoever reads it. */
export function askHalt(scene) {
  const scopes = scopesOf(scene.lately);
  confirm({
    title: "Halt trading?",
    action: "Halt trading",
    doing: "Halting …",
    body: () => html`<p>No order of what is chosen is sent from now on, and what is open of it is canceled. It stays so,
        through restarts too, until somebody resumes it.</p>
      <label>What
        <select name="scope">${scopes.map((each) => html`<option value=${each}>${each}</option>`)}</select></label>
      ${reasonFor("stopped by hand, on the page")}`,
    act: async (form) => {
      const scope = form.get("scope");
      await send("POST", "api/exec/halt", { scope, reason: form.get("reason") });
      return `trading is halted for ${scope}`;
    },
  });
}

/** Ask whether to resume what a record says was halted. */
export function askResume({ data: { scope, reason, by } }) {
  confirm({
    title: `Resume trading for ${scope}?`,
    action: "Resume",
    doing: "Resuming …",
    body: () => html`<p>It was halted by ${by}: ${reason}</p>
      ${reasonFor("resumed by hand, on the page")}`,
    act: async (form) => {
      await send("POST", "api/exec/resume", { scope, reason: form.get("reason") });
      return `trading goes on for ${scope}`;
    },
  });
}

/** The button, which also says what is halted; for the bar. */
export function stopButton(scene) {
  const halts = haltsOf(scene.lately);
  const all = halts.find(({ data }) => data.scope === ALL);
  const words = halts.map(({ data }) => data.scope).join(", ");
  const mark = html`<span class="halted bad" title=${words}>HALTED${all ? "" : `: ${words}`}</span>`;
  return html`${halts.length ? mark : nothing}
    ${all
      ? html`<button type="button" @click=${() => askResume(all)}>Resume</button>`
      : html`<button type="button" class="danger" @click=${() => askHalt(scene)} title="Halt trading">Stop</button>`}`;
}
