// Executions: those that run, plan against progress, the newest, and the lineage of the chosen one.

import { link } from "../bar.js";
import { derived, heads, html, memo, nothing, panel, repeat, state } from "../dom.js";
import { progress, told } from "../facts.js";
import { fixed, seconds, signedBps, significant, time, whole } from "../format.js";
import { Mids } from "../mids.js";
import { isRunning, wholePart } from "../progress.js";
import { lineage } from "../widgets/lineage.js";
import { pricePath } from "../widgets/price_path.js";

const SHOWN = 50;
const RUNNING = 8;
const FILLS_OF = 20; // executions, of which the newest children that filled are listed
const CHILDREN = 8;
const FILLS = 3; // of a child, the newest
const digits = significant(5);
const mids = new Mids();
const asBps = (value) => signedBps(1e4 * value);
const traded = ({ data }) => data.fills.length > 0;
let tradedAlone = false; // in the list of executions

export const executions = {
  id: "executions",
  title: "Executions",
  key: "e",
  draw(scene) {
    const { store, place } = scene;
    const chosen = place.execution ? store.get("records", place.execution) : undefined;
    const all = store.all("records").sort((a, b) => b.data.createdTs - a.data.createdTs);
    const wanted = all.filter(({ data }) => !place.symbol || data.symbol === place.symbol);
    const running = wanted.filter(({ data }) => isRunning(data));
    return html`<div class="grid">
        ${runningPanel(running, scene)}
        ${newest(wanted.filter((record) => !tradedAlone || traded(record)).slice(0, SHOWN), all, scene)}
        ${fillsPanel(wanted.filter(traded).slice(0, FILLS_OF), scene)}
      </div>
      ${place.execution ? lineage(scene, chosen, chosen ? path(chosen, scene) : nothing) : nothing}`;
  },
};

/** A link that opens an execution's lineage, of a fill where one is given. */
export function executionLink(scene, execution, words, fill = null) {
  const changes = { view: "executions", execution, fill };
  return html`<a href=${scene.href(changes)} @click=${(event) => link(event, scene, changes)}>${words}</a>`;
}

function runningPanel(records, scene) {
  const note = records.length ? nothing : "nothing is being executed";
  return panel(
    { title: "Running", id: "running", wide: true, mode: "paper", note },
    html`<div class="running">${repeat(records.slice(0, RUNNING), (record) => record.key, (record) => runningOne(record, scene))}</div>
    ${records.length > RUNNING ? html`<p class="note">and ${derived(records.length - RUNNING, whole, "running ones that are not drawn")} more, below</p>` : nothing}`,
  );
}

function runningOne(record, scene) {
  const { data } = record;
  const mine = wholePart(record);
  return html`<article data-record=${mine.id || nothing} data-execution=${data.executionId}>
    <h3>${data.symbol} ${state(data.status)} ${data.policyId ?? "no policy yet"}
      ${executionLink(scene, data.executionId, "lineage")}</h3>
    ${data.plan
      ? html`<p>${data.plan.side} ${told(mine, "plan.size", digits)} by ${data.plan.style} at
            ${data.legs.map(({ venue }) => venue).join(", ") || data.plan.venue}, expected
            ${told(mine, "plan.expectedBps", signedBps)} bps${data.waiting ? html`; it waits: ${data.waiting}` : nothing}</p>
          <div data-record=${record.id}>${progress(record)}</div>
          ${path(record, scene)}`
      : html`<p>${data.waiting || "its policy, size, venue and plan are being found"}</p>`}
  </article>`;
}

/** The execution on the path of the mid. */
function path(record, scene) {
  const { executionId, plan, symbol } = record.data;
  if (!plan) return nothing;
  const known = mids.of(record, scene.live ? scene.store.get("tops", `${plan.venue}:${symbol}`) : null, scene.redraw);
  const points = scene.live ? known : known.filter(({ ts }) => ts <= scene.now);
  const why = mids.why(executionId);
  const open = (fill) => scene.go({ view: "executions", execution: executionId, fill });
  return html`${memo([record, points.length, points.at(-1)?.ts], () => pricePath(record, points, open))}
    ${why ? html`<p class="note">The mid is drawn where children were sent alone: ${why}</p>` : nothing}`;
}

function newest(records, all, scene) {
  const symbols = [...new Set([...scene.store.symbols, ...all.map(({ data }) => data.symbol)])].sort();
  const wanted = scene.place.symbol ?? "";
  return panel(
    {
      title: "Newest executions",
      id: "executions",
      wide: true,
      mode: "paper",
      note: html`open one: why it traded, or not, and what it cost. <label>Of <select @change=${(event) => scene.go({ symbol: event.target.value || null })}>
        <option value="" .selected=${!wanted}>all symbols</option>
        ${symbols.map((each) => html`<option value=${each} .selected=${each === wanted}>${each}</option>`)}
      </select></label>
        <label><input type="checkbox" .checked=${tradedAlone} @change=${(event) => {
          tradedAlone = event.target.checked;
          scene.redraw();
        }}> only what traded</label>`,
    },
    records.length
      ? html`<div class="scroll"><table class="executions">
          ${heads("begun (UTC)", "symbol", "status", "policy", "signal", "order", "filled", "cost, bps", "delay", "impact",
            "missed", "fees", ["reward, bps", "of equity"])}
          <tbody>${repeat(records, (record) => record.key, (record) => memo([record, scene.place.execution === record.key, scene.href({})], () => row(record, scene)))}</tbody>
        </table></div>`
      : html`<p class="wait">No execution${tradedAlone ? " that traded" : nothing} is known${wanted ? html` of ${wanted}` : nothing}.</p>`,
  );
}

function row(record, scene) {
  const { executionId, symbol, status, policyId, signal, reason, plan } = record.data;
  const mine = wholePart(record);
  const changes = { view: "executions", execution: executionId, fill: null };
  return html`<tr
    data-record=${mine.id || nothing}
    data-execution=${executionId}
    aria-current=${scene.place.execution === executionId ? "true" : nothing}
    @click=${(event) => event.target.closest("a") || scene.go(changes)}
  >
    <td>${executionLink(scene, executionId, told(mine, "createdTs", seconds))}</td>
    <td>${symbol}</td>
    <td title=${reason}>${state(status)}</td>
    <td>${policyId ?? "—"}</td>
    <td title=${signal?.reason ?? ""}>${told(mine, "signal.value", fixed(3))}</td>
    <td>${plan?.side ?? ""} ${told(mine, "sizing.qty", digits)}</td>
    <td data-record=${record.id}>${told(record, "filled", digits)}</td>
    <td>${told(mine, "shortfall.totalBps", signedBps)}</td>
    <td>${told(mine, "shortfall.delayBps", signedBps)}</td>
    <td>${told(mine, "shortfall.impactBps", signedBps)}</td>
    <td>${told(mine, "shortfall.opportunityBps", signedBps)}</td>
    <td>${told(mine, "shortfall.feesBps", signedBps)}</td>
    <td>${told(mine, "reward.reward", asBps)}</td>
  </tr>`;
}

/** The newest fills under the children that they are of, each with the way that led to it. */
function fillsPanel(records, scene) {
  const draw = () => {
    const newest = records.flatMap(childrenOf).sort((a, b) => b.ts - a.ts).slice(0, CHILDREN);
    if (!newest.length) return html`<p class="wait">None of the executions that are kept here has a fill.</p>`;
    return html`<div class="scroll"><table class="fills">
      ${heads("child, and its fills (UTC)", "symbol", "venue", "side", "size", "price", "mid", "fee")}
      ${newest.map((each) => child(each, scene))}
    </table></div>`;
  };
  return panel(
    { title: "Newest fills, by child order", id: "fills", wide: true, mode: "paper" },
    memo([records.map(({ id }) => id).join(), scene.href({})], draw),
  );
}

/** The orders of an execution that filled, each with its fills by their places in the record, the newest first. */
function childrenOf(record) {
  const { orders, fills } = record.data;
  return orders.flatMap((order, at) => {
    const found = fills.flatMap(({ orderId }, n) => (orderId === order.clOrdId ? [n] : [])).reverse();
    return found.length ? [{ record, order, at, found, ts: fills[found[0]].ts }] : [];
  });
}

function child({ record, order, at, found }, scene) {
  const { executionId, symbol, fills } = record.data;
  const it = { ...record, id: isRunning(record.data) ? "" : record.id }; // of a running one, several records tell
  const row = (path, columns, fill, kind, cells, begin = "") => {
    const changes = { view: "executions", execution: executionId, fill };
    const [ts, ...others] = columns.map(([field, write]) => told(it, `${path}.${field}`, write));
    return html`<tr class=${kind} @click=${(event) => event.target.closest("a") || scene.go(changes)}>
      <th scope="row">${begin}${executionLink(scene, executionId, ts, fill)}</th>${cells}
      ${others.map((each) => html`<td>${each}</td>`)}
    </tr>`;
  };
  const more = order.fills - FILLS;
  return html`<tbody data-record=${it.id || nothing}>
    ${row(`orders.${at}`, OF_CHILD, null, "whole", html`<td>${symbol}</td><td>${order.venue}</td><td>${order.side}</td>`)}
    ${found.slice(0, FILLS).map((n) => row(`fills.${n}`, OF_FILL, fills[n].fillId, "part", html`<td colspan="3"></td>`, "fill "))}
    ${more > 0 ? html`<tr><td colspan="8" class="note">and ${derived(more, whole, "fills of the child that are not listed here")} more fills,
      all in its ${executionLink(scene, executionId, "lineage")}</td></tr>` : nothing}
  </tbody>`;
}

const OF_CHILD = [["submittedTs", time], ["cumQty", digits], ["avgPx", digits], ["mid", digits], ["fees", digits]];
const OF_FILL = [["ts", time], ["size", digits], ["price", digits], ["mid", digits], ["fee", digits]];
