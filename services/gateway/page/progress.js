// An execution's record after a step of one child, as `libs.common.record_view.with_progress` has it.

const FILLS_KEPT = 200;

/** The whole record after `progress`; both as /api/stream tells them. */
export function withProgress(record, progress) {
  const told = new Map();
  for (const leg of [...progress.legs, progress.leg]) if (leg) told.set(leg.venue, leg);
  let { orders, fills } = record;
  if (progress.order) {
    const known = orders.find((order) => order.clOrdId === progress.order.clOrdId);
    orders = withOrder(orders, progress.order, known);
    const count = progress.order.fills - (known?.fills ?? 0);
    const added = progress.fills.slice(Math.max(0, progress.fills.length - count));
    fills = [...fills, ...added].sort((a, b) => a.ts - b.ts).slice(-FILLS_KEPT);
  }
  const { filled, open, unscheduled, avgPx, waiting, audit, ts } = progress;
  return {
    ...record,
    orders,
    fills,
    legs: record.legs.map((leg) => told.get(leg.venue) ?? leg),
    fillsTotal: orders.reduce((sum, order) => sum + order.fills, 0),
    ...{ filled, open, unscheduled, avgPx, waiting, audit, ts },
  };
}

/** The orders, oldest first, with one that stands among them as `known`, or is new. */
function withOrder(orders, order, known) {
  if (known) return orders.map((each) => (each === known ? order : each));
  const later = orders.findIndex((each) => each.submittedTs > order.submittedTs);
  return later < 0 ? [...orders, order] : orders.toSpliced(later, 0, order);
}

const FINAL = new Set(["completed", "canceled", "failed", "skipped"]);

/** Whether more may come of an execution. */
export const isRunning = ({ status }) => !FINAL.has(status);

/**
 * The record that tells what no progress changes, an execution's policy, size and plan: `id` is that of its last
 * whole record, empty where that is not known.
 */
export const wholePart = (record) => ({ ...record, id: record.whole ?? (isRunning(record.data) ? "" : record.id) });
