// "Decide now": one decision of a symbol, made for real (on paper), after a confirmation.

import { send } from "../ask.js";
import { html } from "../dom.js";
import { confirm } from "./confirm.js";

const what = (scene, symbol) => ({
  title: `Decide on ${symbol} now?`,
  body: () => html`<p>A policy is chosen, its signal is sized within the limits, and an order is worked if every gate is
    open. It is a paper order: nothing leaves this system.</p>`,
  action: `Decide on ${symbol}`,
  doing: "Deciding …",
  async act() {
    const { executionId, status } = await send("POST", "api/exec/plan-and-execute", { symbol });
    scene.go({ view: "executions", symbol, execution: executionId });
    return `decided on ${symbol}: ${status}`;
  },
});

/** The button that asks for a decision of a symbol. */
export const decideButton = (scene, symbol) =>
  html`<button type="button" @click=${() => confirm(what(scene, symbol))}>Decide now</button>`;
