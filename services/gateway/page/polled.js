// An answer of the gateway that is asked for again and again for as long as somebody looks at it.

import { get } from "./ask.js";

export class Polled {
  #asking = null;
  #asked = -Infinity;
  #path = null;
  value = null; // the newest answer
  error = null; // why there is no newer one
  at = null; // when the answer came, ms since 1970

  constructor(everyMs) {
    this.everyMs = everyMs;
  }

  /** Look at the answer to a path, which asks for it when it is time; `changed` is called when it has come. */
  look(path, changed) {
    if (path !== this.#path) {
      this.#asking?.abort();
      this.#path = path;
      [this.#asking, this.#asked] = [null, -Infinity];
      this.value = this.error = this.at = null;
    }
    if (!this.#asking && performance.now() - this.#asked >= this.everyMs) this.#ask(path, changed);
    return this;
  }

  /** Whether an answer is on its way. */
  get busy() {
    return this.#asking !== null;
  }

  /** Ask again with the next look. */
  again() {
    this.#asked = -Infinity;
  }

  async #ask(path, changed) {
    const asking = (this.#asking = new AbortController());
    this.#asked = performance.now();
    try {
      const value = await get(path, asking.signal);
      if (asking !== this.#asking) return;
      [this.value, this.error, this.at] = [value, null, Date.now()];
    } catch (error) {
      if (asking !== this.#asking) return;
      this.error = error instanceof TypeError ? "the gateway does not answer" : error.message;
    }
    this.#asking = null;
    changed();
  }
}
