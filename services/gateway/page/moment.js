// Live, or as of a moment: then all views show the state of that moment, from one answer of the gateway.

import { get } from "./ask.js";
import { PastHistory } from "./history.js";
import { Store } from "./store.js";

const SETTLE_MS = 60; // while the slider is dragged

export class Moments {
  #wanted = null;
  #asking = null;
  #timer = 0;
  store = null; // of the moment, once it is here; while another is on its way, of the one before
  told = null; // what the gateway says of it besides records
  error = null;

  /** @param {() => void} changed called when there is something new to draw */
  constructor(changed) {
    this.changed = changed;
  }

  /** The moment that is shown or on its way, ms since 1970 UTC; null: live. */
  get at() {
    return this.#wanted;
  }

  /** Whether what is shown is of the moment that is wanted. */
  get here() {
    return this.told !== null && this.told.name === this.name;
  }

  /** Want a moment, null for live. */
  want(at, symbol) {
    const name = at === null ? null : `${at}/${symbol ?? ""}`;
    if (name === this.name) return;
    this.name = name;
    this.#wanted = at;
    clearTimeout(this.#timer);
    if (at === null) {
      this.#asking?.abort();
      this.store = this.told = this.error = null;
      return;
    }
    this.#timer = setTimeout(() => this.#ask(at, symbol), SETTLE_MS);
  }

  async #ask(at, symbol) {
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController()), name = this.name;
    const query = new URLSearchParams({ ts: at, ...(symbol ? { symbol } : {}) });
    try {
      const told = await get(`api/at?${query}`, asking.signal);
      if (asking.signal.aborted) return;
      const store = new Store(new PastHistory(at, this.changed));
      store.fill(told.records);
      [this.store, this.told, this.error] = [store, { ...told, at, name }, null];
    } catch (error) {
      if (asking.signal.aborted) return;
      [this.store, this.told, this.error] = [null, null, error.message];
    }
    this.changed();
  }
}
