// The topics that the page follows, all over one connection, and what names a thing on each of them.

const book = (data) => `${data.venue}:${data.symbol}`;
const control = (data) => (data.type.startsWith("Trading") ? data.scope : `${data.type}/${data.scope ?? data.symbol}`);

/** By short name: the topic, and the key under which its newest record is kept; null: in the history alone. */
export const TOPICS = {
  subscriptions: ["l2.subscriptions.v1", book],
  tops: ["l2.book-tops.v1", book],
  healths: ["l2.book-health.v1", book],
  trades: ["l2.trades.v1", null],
  metrics: ["venues.metrics.v1", book],
  scores: ["venues.scores.v1", (data) => data.commandId],
  choices: ["router.choices.v1", (data) => (data.type === "PolicyChosen" ? data.scope : null)],
  snapshots: ["router.snapshots.v1", (data) => data.scope],
  policies: ["policies.registry.v1", (data) => data.policyId],
  signals: ["policies.signals.v1", (data) => `${data.policyId}:${data.symbol}`],
  records: ["execution.records.v1", (data) => data.executionId],
  sizings: ["execution.sizings.v1", (data) => data.symbol],
  fills: ["execution.fills.v1", null],
  controls: ["execution.controls.v1", control],
  positions: ["portfolio.positions.v1", (data) => data.symbol],
  risk: ["portfolio.risk.v1", (data) => data.book],
  equity: ["portfolio.equity.v1", (data) => data.book],
  allocations: ["portfolio.allocations.v1", (data) => data.book ?? ""],
  services: ["services.status.v1", (data) => `${data.service}:${data.instance}`],
};

/** Of the rest there are as many as there are books, policies and services; of these there are ever more. */
export const MOST = { records: 120, scores: 40, signals: 2000, snapshots: 500, services: 200 };

export const SHORT = new Map(Object.entries(TOPICS).map(([short, [name]]) => [name, short]));
export const NAMES = [...SHORT.keys()];
export const nameOf = (short) => TOPICS[short][0];
