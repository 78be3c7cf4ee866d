// The one connection: server-sent events by fetch, taken up again where it broke, with what was missed said.
// https://html.spec.whatwg.org/multipage/server-sent-events.html

const LEAST_PAUSE_MS = 250;
const MOST_PAUSE_MS = 4000;
const SILENT_MS = 20_000; // the gateway says something every 15 s, if only that it is there

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export class Stream {
  #lastId = null;
  #leaving = null;
  #pause = LEAST_PAUSE_MS;
  #heard = 0;
  #open = false;
  #closed = false;

  /**
   * @param {string} address of /api/stream, with its topics
   * @param {{record: Function, opened: Function, lost: Function, missed: Function}} tell
   *   record(topic, id, data): a message; opened(resumed): connected, and whether where it broke off;
   *   lost(why): the connection ended; missed(count): so many messages are missing here, null: nobody knows.
   */
  constructor(address, tell) {
    this.address = address;
    this.tell = tell;
  }

  async run() {
    while (!this.#closed) {
      const began = performance.now();
      const why = await this.#connected();
      if (this.#closed) return;
      this.tell.lost(why);
      if (this.#open && performance.now() - began > MOST_PAUSE_MS) this.#pause = LEAST_PAUSE_MS;
      this.#open = false;
      await sleep(this.#pause * (0.75 + Math.random() / 2));
      this.#pause = Math.min(2 * this.#pause, MOST_PAUSE_MS);
    }
  }

  close() {
    this.#closed = true;
    this.#leaving?.abort();
  }

  /** Read one connection to its end; return why it ended. */
  async #connected() {
    const leaving = (this.#leaving = new AbortController());
    const watch = setInterval(() => {
      if (performance.now() - this.#heard > SILENT_MS) leaving.abort();
    }, 1000);
    this.#heard = performance.now();
    try {
      const headers = this.#lastId === null ? {} : { "Last-Event-ID": this.#lastId };
      const answer = await fetch(this.address, { headers, signal: leaving.signal, cache: "no-store" });
      if (!answer.ok) return (await answer.json().catch(() => ({}))).detail ?? `the gateway answers HTTP ${answer.status}`;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        this.#heard = performance.now();
        text = this.#taken(text + part.value);
      }
      return "the gateway ended the stream";
    } catch (error) {
      if (leaving.signal.aborted) return `nothing was heard for ${SILENT_MS / 1000} s`;
      if (!(error instanceof TypeError)) console.error(error); // not the network, but this page's own
      return this.#open ? "the connection broke" : "the gateway does not answer";
    } finally {
      clearInterval(watch);
      leaving.abort(); // after an error of this page's own the connection would stay
    }
  }

  /** Take all whole events of a text; return the rest of it. */
  #taken(text) {
    let from = 0;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n", from)) {
      this.#event(text.slice(from, end));
      from = end + 2;
    }
    return from ? text.slice(from) : text;
  }

  #event(block) {
    let topic = "", id = null, data = "";
    for (const line of block.split("\n")) {
      if (line.startsWith("event: ")) topic = line.slice(7);
      else if (line.startsWith("id: ")) id = line.slice(4);
      else if (line.startsWith("data: ")) data = line.slice(6);
      else if (line === ": open") {
        this.#open = true;
        this.tell.opened(this.#lastId !== null);
      }
    }
    if (topic === "dropped") this.tell.missed(JSON.parse(data).count);
    else if (data) {
      this.#lastId = id;
      this.tell.record(topic, id, JSON.parse(data));
    }
  }
}
