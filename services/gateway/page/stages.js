// The numbers of each stage of a lineage, under the paths at which the record that it names has them.

import { derived, heads, html, nothing } from "./dom.js";
import { FACTS, facts, named, told } from "./facts.js";
import { bps, percent, significant, time, whole } from "./format.js";

const digits = significant(5);
const SLICES_SHOWN = 20;
const TERMS = ["spread", "impact", "fee", "basis", "latency", "reliability", "slippage"];

/** A message as if it stood under these names in another, as it does in the record that tells it. */
const inside = (data, ...names) => names.reduceRight((message, name) => ({ [name]: message }), data);

/** What is shown of a stage; `record` says where it was told, `data` is what the gateway joined. */
export function numbersOf(name, record, data) {
  const is = (topic) => record?.topic === topic;
  const of = (message, topic) => ({ id: is(topic) ? record.id : "", data: message });
  switch (name) {
    case "book":
      return html`${facts({ id: is("l2.book-deltas.v1") || is("l2.book-tops.v1") ? record.id : "", data }, FACTS.book)}
        ${named({ id: "", data }, "mids", "mids of all venues", digits)}`;
    case "features":
      return html`${facts(of(inside(data.book, "features"), "l2.book-tops.v1"), FACTS.features, "features.")}
        ${named(of(data, "router.choices.v1"), "inputs", "inputs")}
        ${more("As the router scaled them", named(of(inside(data.vector, "features"), "router.choices.v1"), "features", ""))}`;
    case "choice": {
      const it = of(data, "router.choices.v1");
      return html`${facts(it, FACTS.choice)}${named(it, "propensities", "probability of each policy", percent(1))}
        ${named(it, "scores", "sampled scores")}`;
    }
    case "sizing": {
      const it = of(data, "execution.sizings.v1");
      return html`${facts(it, FACTS.sizing)}${named(it, "caps", "caps on the size", percent(2))}`;
    }
    case "venues":
      return candidates(of(data, "venues.scores.v1"));
    case "plan": {
      const it = of(inside(data, "record", "plan"), "execution.plans.v1");
      return html`${facts(it, FACTS.plan, "record.plan.")}${more("Its children", slices(it, data.slices ?? []))}`;
    }
    case "child":
      return html`${facts(of(inside(data, "order"), "execution.orders.v1"), FACTS.child, "order.")}
        <p class="what">what became of it</p>${facts({ id: "", data }, FACTS.became)}`;
    case "fill":
      return facts(of(data, "execution.fills.v1"), FACTS.fill);
    case "shortfall":
      return facts(of(inside(data, "shortfall"), "execution.records.v1"), FACTS.shortfall, "shortfall.");
    case "reward":
      return html`${facts(of(data.answer ?? {}, "router.choices.v1"), FACTS.rewarded)}
        ${facts(of(inside(data.outcome ?? {}, "reward"), "execution.records.v1"), FACTS.outcome, "reward.")}`;
    default:
      return nothing;
  }
}

const more = (title, body) => html`<details><summary>${title}</summary>${body}</details>`;

/** What each venue was expected to cost, term by term. */
function candidates(it) {
  const list = it.data.candidates ?? [];
  const cell = (n, path) => html`<td>${told(it, `candidates.${n}.${path}`, bps)}</td>`;
  return html`<div class="scroll"><table>
    ${heads("venue", "score, bps", ...TERMS)}
    <tbody>${list.map(
      (each, n) => html`<tr><th scope="row" title=${each.reasons.join("; ")}>${each.venue}</th>
        ${cell(n, "score")}${TERMS.map((term) => cell(n, `costBps.${term}`))}</tr>`,
    )}</tbody>
  </table></div>`;
}

function slices(it, list) {
  const cell = (n, field, write) => html`<td>${told(it, `record.plan.slices.${n}.${field}`, write)}</td>`;
  return html`<div class="scroll"><table>
      ${heads("at (UTC)", "size", "limit", "venue")}
      <tbody>${list.slice(0, SLICES_SHOWN).map(
        ({ venue }, n) => html`<tr>${cell(n, "atTs", time)}${cell(n, "size", digits)}${cell(n, "limit", digits)}<td>${venue ?? ""}</td></tr>`,
      )}</tbody>
    </table></div>
    ${list.length > SLICES_SHOWN ? html`<p class="note">and ${derived(list.length - SLICES_SHOWN, whole, "children that are not shown")} more in its record</p>` : nothing}`;
}
