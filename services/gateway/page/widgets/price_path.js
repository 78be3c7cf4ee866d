// An execution on the path of the mid: planned slices, children and fills as marks of their own shapes, and
// how much was to be filled by when against how much is.

import { derived, html, svg } from "../dom.js";
import { seconds, significant } from "../format.js";
import { ends } from "../mids.js";

const WIDTH = 640;
const PRICES = 150;
const AMOUNTS = 70;
const PAD = 8;
const digits = significant(7);

/** Draw an execution with a plan on points {ts, mid}; `open` is called with the fill whose mark is clicked. */
export function pricePath(record, mids, open) {
  const { plan, orders, fills, createdTs } = record.data;
  const known = mids.length ? mids : [{ ts: createdTs, mid: plan.mid }, ...orders.map(({ submittedTs: ts, mid }) => ({ ts, mid }))];
  const from = Math.min(createdTs, known[0].ts);
  const to = Math.max(from + 1000, ends(record.data));
  const prices = [...known.map(({ mid }) => mid), ...fills.map(({ price }) => Number(price)), ...orders.map(({ mid }) => mid)];
  const [low, high] = [Math.min(...prices), Math.max(...prices)];
  const x = (ts) => PAD + ((ts - from) / (to - from)) * (WIDTH - 2 * PAD);
  const y = (price) => PRICES - PAD - ((price - low) / (high - low || 1)) * (PRICES - 2 * PAD);
  const total = Number(plan.size) || 1;
  const z = (amount) => PRICES + AMOUNTS - 2 - (Math.min(amount / total, 1)) * (AMOUNTS - 10);
  return html`<figure class="path">
    <figcaption>
      <span class="key mid">mid at ${plan.venue}</span> <span class="key planned">planned (▽)</span>
      <span class="key child">child (△)</span> <span class="key filled">fill (●)</span>
      <span class="note">
        ${derived(low, digits, "lowest price drawn")} to ${derived(high, digits, "highest price drawn")};
        ${derived(from, seconds, "first time drawn, UTC")} to ${derived(to, seconds, "last time drawn, UTC")}
      </span>
    </figcaption>
    <svg viewBox="0 0 ${WIDTH} ${PRICES + AMOUNTS}" width="100%" role="img" aria-label=${summary(record.data)}>
      <line class="grid-line" x1="0" x2=${WIDTH} y1=${PRICES} y2=${PRICES}></line>
      <polyline class="mid" points=${known.map(({ ts, mid }) => `${x(ts)},${y(mid)}`).join(" ")}></polyline>
      ${plan.slices.map(({ atTs }) => svg`<path class="planned" d="M${x(atTs) - 4} 2h8l-4 7z"></path>`)}
      ${orders.map((order) => svg`<path class="child ${order.ordStatus}"
        d="M${x(order.submittedTs) - 5} ${y(order.mid) + 5}h10l-5 -9z"></path>`)}
      ${fills.map(({ fillId, ts, price }) => svg`<circle class="fill" cx=${x(ts)} cy=${y(Number(price))} r="4"
        @click=${() => open(fillId)}><title>fill at ${price}</title></circle>`)}
      <path class="planned steps" d=${steps(plan.slices.map(({ atTs, size }) => [atTs, Number(size)]), x, z, from, to)}></path>
      <path class="filled steps" d=${steps(fills.map(({ ts, size }) => [ts, Number(size)]), x, z, from, Math.min(to, Date.now()))}></path>
    </svg>
  </figure>`;
}

/** A line that goes up with each amount when it comes. */
function steps(amounts, x, z, from, to) {
  let sum = 0;
  let path = `M${x(from)} ${z(0)}`;
  for (const [ts, size] of [...amounts].sort((a, b) => a[0] - b[0])) {
    path += `H${x(ts)}`;
    sum += size;
    path += `V${z(sum)}`;
  }
  return `${path}H${x(Math.max(to, amounts.at(-1)?.[0] ?? from))}`;
}

function summary({ plan, orders, fills, filled, symbol }) {
  return `${plan.side} ${plan.size} ${symbol} by ${plan.style} in ${plan.slices.length} planned slices; ${orders.length} ` +
    `children sent, ${fills.length} fills, ${filled} filled.`;
}
