// Asks what an order would cost at each venue: a command, so seldom, and only for who looks at the answer.

import { send } from "./ask.js";

const SETTLE_MS = 150; // while the size is dragged
const LEAST_PAUSE_MS = 500; // between two commands
const AGAIN_MS = 2000; // while nothing is changed
const FOR_NOW = (status) => status === undefined || status === 429 || status >= 500;

export class Scoring {
  #wanted = "";
  #wantedAt = 0;
  #askedAt = -Infinity;
  #busy = false;
  answer = null; // the gateway's, of the newest order that was scored
  error = null;

  /** Keep the answer for an order up to date; called at each drawing while the view is open and live. */
  want(order, changed) {
    const now = performance.now(), name = JSON.stringify(order);
    if (name !== this.#wanted) {
      [this.#wanted, this.#wantedAt, this.refused] = [name, now, false];
      setTimeout(changed, SETTLE_MS);
    }
    const since = now - this.#askedAt;
    const due = this.answered === name ? since > AGAIN_MS : since > LEAST_PAUSE_MS && now - this.#wantedAt >= SETTLE_MS;
    if (due && !this.#busy && !this.refused && !document.hidden) this.#ask(order, name, changed);
  }

  async #ask(order, name, changed) {
    [this.#busy, this.#askedAt] = [true, performance.now()];
    try {
      [this.answer, this.error] = [await send("POST", "api/venues/score", order), null];
    } catch (error) {
      this.error = error.message;
      this.refused = !FOR_NOW(error.status) && name === this.#wanted;
    }
    this.answered = name;
    this.#busy = false;
    changed();
  }
}
