// Where one is: view, symbol, moment and what is open, all in the address, so that it can be sent to somebody.

const FIELDS = ["view", "symbol", "venue", "at", "execution", "fill", "scope", "size", "side"];
const QUIET_MS = 150; // browsers take some twenty changes of the address a second, and a slider makes more

export class Place {
  #changed = () => {};
  #query = new URLSearchParams(location.search);
  #timer = 0;

  constructor() {
    addEventListener("popstate", () => {
      this.#query = new URLSearchParams(location.search);
      this.#changed();
    });
  }

  /** Call `changed` whenever the address has changed. */
  watch(changed) {
    this.#changed = changed;
  }

  /** What the address says; what it does not say is null. */
  get now() {
    const place = Object.fromEntries(FIELDS.map((name) => [name, this.#query.get(name)]));
    place.at = /^\d{12,14}$/.test(place.at ?? "") ? Number(place.at) : null;
    return place;
  }

  /** The address with these changes; null takes a field out. */
  href(changes) {
    return `?${this.#with(changes)}`;
  }

  /** Go there; `quietly` without a step back, as while a slider is dragged. */
  go(changes, quietly = false) {
    const query = this.#with(changes);
    if (!quietly) this.#written(); // where one was, before one leaves
    this.#query = query;
    if (!quietly) history.pushState(null, "", `?${query}`);
    else this.#timer ||= setTimeout(() => this.#written(), QUIET_MS);
    this.#changed();
  }

  #with(changes) {
    const query = new URLSearchParams(this.#query);
    for (const [name, value] of Object.entries(changes)) {
      if (value === null || value === undefined) query.delete(name);
      else query.set(name, value);
    }
    return query;
  }

  #written() {
    if (this.#timer) history.replaceState(null, "", `?${this.#query}`);
    clearTimeout(this.#timer);
    this.#timer = 0;
  }
}
