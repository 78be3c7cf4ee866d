// <depth-heat>: how much stood at which price over the last minutes, with the best prices and the trades.

import { getOld } from "../ask.js";
import { fixed, seconds, significant } from "../format.js";
import { colour, onTheme } from "./theme.js";

const STEP_MS = 500;
const COLUMNS = 600; // five minutes
const LEVELS = 50; // of a side, as many as tops have
const ROWS = 160;
const HOLD = 7; // steps: a quiet book is told again every 3 s, and stands as it was meanwhile
const DRAW_MS = 250;
const SCALED_MS = 30_000; // how often the colours are fitted to the sizes
const MOST_TRADES = 600;
const GUTTER = 70; // CSS pixels for prices
const FOOT = 20; // for times
const HEIGHT = 340;

const slotOf = (ts) => Math.floor(ts / STEP_MS);
const log = (size, unit) => Math.log1p(size / unit);

/**
 * Properties, handed over anew at each frame by who draws: `book` is venue:symbol, `top` the newest record of its
 * top, `alive` whether the book is LIVE, `trades` a history's points, `tick` the least step of a price, `at` null for
 * live or the moment in ms, `now` ms. Memory: one ring of columns, whatever comes.
 */
class DepthHeat extends HTMLElement {
  #prices = new Float64Array(COLUMNS * 2 * LEVELS); // of a column the bids, then the asks
  #sizes = new Float32Array(COLUMNS * 2 * LEVELS);
  #counts = new Uint8Array(2 * COLUMNS);
  #slots = new Float64Array(COLUMNS).fill(-1); // of which time a column is
  #newest = -1; // the last column that has data
  #edge = 0; // the column at the right end
  #low = 0;
  #high = 0;
  #unit = 1;
  #most = 1;
  #scaledAt = 0;
  #dirty = true;
  #record = null;
  #book = null;
  #at = null;
  #loading = 0;
  #ends = [];
  #values = new Float32Array(ROWS);
  alive = false;
  tick = 0;
  now = 0;
  trades = [];

  set book(book) {
    if (book === this.#book) return;
    this.#book = book;
    this.#emptied();
    this.#load(0);
  }

  set at(at) {
    if (at === this.#at) return;
    const live = at === null || this.#at === null;
    this.#at = at;
    if (live) this.#emptied();
    this.#load(200);
  }

  set top(record) {
    if (!record || record === this.#record || this.#at !== null || !record.data.bids) return;
    this.#record = record;
    const slot = slotOf(record.data.receivedTs);
    if (this.#newest >= 0 && slot - this.#newest > 2 * HOLD) this.#load(500); // nobody looked, or it was away
    this.#put(slot, record.data);
  }

  connectedCallback() {
    this.innerHTML = ""; // moved within the page
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.words = document.createElement("p");
    this.words.className = "note";
    this.append(this.canvas, this.words);
    this.image = new OffscreenCanvas(COLUMNS, ROWS);
    this.ink = this.image.getContext("2d", { willReadFrequently: false });
    const resized = new ResizeObserver(() => this.#sized());
    resized.observe(this);
    const timer = setInterval(() => this.#draw(), DRAW_MS);
    const pointed = (event) => this.#pointed(event);
    this.canvas.addEventListener("pointermove", pointed);
    this.canvas.addEventListener("pointerleave", () => (this.pointer = null));
    this.#ends = [() => resized.disconnect(), () => clearInterval(timer), onTheme(() => this.#painted())];
    this.#painted();
  }

  disconnectedCallback() {
    for (const end of this.#ends) end();
    clearTimeout(this.#loading);
  }

  #emptied() {
    this.#slots.fill(-1);
    [this.#newest, this.#low, this.#high, this.#record] = [-1, 0, 0, null];
    this.ink?.clearRect(0, 0, COLUMNS, ROWS);
    this.#dirty = true;
  }

  /** Read what stood before from the topic, soon. */
  #load(pause) {
    clearTimeout(this.#loading);
    const [book, at] = [this.#book, this.#at];
    this.#loading = setTimeout(async () => {
      const to = at ?? Date.now();
      const asked = { key: book, from: Math.floor(to - COLUMNS * STEP_MS), to: Math.ceil(to), every: "1s", limit: 1000 };
      try {
        const told = await getOld(`api/records/l2.book-tops.v1?${new URLSearchParams(asked)}`);
        if (book !== this.#book || at !== this.#at) return;
        if (at !== null) this.#emptied();
        for (const { data } of told.sort((a, b) => a.data.receivedTs - b.data.receivedTs))
          if (data.bids) this.#put(slotOf(data.receivedTs), data, true);
        if (at !== null) this.#held(slotOf(at));
        this.#painted();
        const first = told[0]?.data.receivedTs; // of a compacted topic the newest minutes alone are there for sure
        this.missing = first > asked.from + 10_000 ? `Tops from before ${seconds(first)} are not kept any more.` : "";
      } catch (error) {
        this.missing = `What was before is not shown: ${error.message}`;
      }
      this.#dirty = true;
    }, pause);
  }

  /** Let a column be this book; of the past only where nothing is yet. */
  #put(slot, { bids, asks }, past = false) {
    const at = slot % COLUMNS;
    if (past && this.#slots[at] === slot) return;
    if (slot <= this.#newest - COLUMNS) return;
    if (!past) this.#held(slot);
    this.#slots[at] = slot;
    let place = at * 2 * LEVELS;
    for (const side of [bids, asks])
      for (let level = 0; level < LEVELS; level += 1, place += 1)
        [this.#prices[place], this.#sizes[place]] = side[level] ?? [NaN, 0];
    this.#counts[2 * at] = Math.min(LEVELS, bids.length);
    this.#counts[2 * at + 1] = Math.min(LEVELS, asks.length);
    if (past) this.#filled(slot);
    this.#newest = Math.max(this.#newest, slot);
    this.#dirty = true;
    if (!past) this.#column(slot);
  }

  /** Between two columns of the past that are near each other the book stood as it was. */
  #filled(slot) {
    for (let before = slot - 1; before > slot - HOLD; before -= 1) {
      if (this.#slots[before % COLUMNS] !== before) continue;
      for (let each = before + 1; each < slot; each += 1) this.#copied(before, each);
      return;
    }
  }

  /** Columns up to this one: as the last while it may be held, else empty. */
  #held(slot) {
    if (this.#newest < 0) return;
    for (let each = Math.max(this.#newest + 1, slot - COLUMNS + 1); each <= slot; each += 1) {
      if (this.#slots[each % COLUMNS] === each) continue;
      if (each - this.#newest <= HOLD && (this.alive || this.#at !== null)) this.#copied(this.#newest, each);
      else this.#slots[each % COLUMNS] = -1;
      this.#column(each);
    }
  }

  #copied(from, to) {
    const [a, b] = [from % COLUMNS, to % COLUMNS];
    for (const each of [this.#prices, this.#sizes]) each.copyWithin(b * 2 * LEVELS, a * 2 * LEVELS, (a + 1) * 2 * LEVELS);
    this.#counts.copyWithin(2 * b, 2 * a, 2 * a + 2);
    this.#slots[b] = to;
  }

  /** Colour one column of the image. */
  #column(slot, into = null) {
    if (!this.ink || !this.#high) return;
    const at = slot % COLUMNS, values = this.#values.fill(0), size = (this.#high - this.#low) / ROWS;
    const pixels = into ?? this.ink.createImageData(1, ROWS), words = new Uint32Array(pixels.data.buffer);
    const [stride, column] = into ? [COLUMNS, at] : [1, 0];
    if (this.#slots[at] === slot) {
      const band = Math.max(1, Math.round(this.tick / size));
      for (let place = at * 2 * LEVELS; place < (at + 1) * 2 * LEVELS; place += 1) {
        const row = Math.floor((this.#high - this.#prices[place]) / size - band / 2 + 0.5);
        for (let each = row; each < row + band; each += 1) if (each >= 0 && each < ROWS) values[each] += this.#sizes[place];
      }
    }
    const whole = log(this.#most, this.#unit);
    for (let row = 0; row < ROWS; row += 1)
      words[row * stride + column] = values[row] ? this.palette[Math.min(255, (255 * log(values[row], this.#unit)) / whole) | 0] : 0;
    if (!into) this.ink.putImageData(pixels, at, 0);
  }

  /** Fit prices and colours to what is there, and colour all columns. */
  #painted() {
    if (!this.ink) return;
    const [r, g, b] = colour("--heat").match(/[\d.]+/g).map(Number);
    this.palette = Uint32Array.from({ length: 256 }, (_, n) => ((Math.min(255, 20 + 0.92 * n) << 24) | (b << 16) | (g << 8) | r) >>> 0);
    this.#dirty = true;
    const wanted = this.#range();
    if (!wanted) return;
    const room = (wanted[1] - wanted[0]) * 0.08;
    [this.#low, this.#high] = [wanted[0] - room, wanted[1] + room];
    const seen = this.#sizes.filter((size, place) => size > 0 && this.#slots[Math.floor(place / 2 / LEVELS)] >= 0 && place % 7 === 0).sort();
    this.#unit = seen[seen.length >> 2] || 1;
    this.#most = Math.max(2 * this.#unit, 2 * (seen[Math.floor(seen.length * 0.99)] || 1));
    this.#scaledAt = performance.now();
    const pixels = this.ink.createImageData(COLUMNS, ROWS);
    for (const slot of this.#slots) if (slot >= 0) this.#column(slot, pixels);
    this.ink.putImageData(pixels, 0, 0);
  }

  /** The prices that should be seen: all best ones, and as far as the newest book is known. */
  #range() {
    let low = Infinity, high = -Infinity, last = -1;
    for (let at = 0; at < COLUMNS; at += 1) {
      if (this.#slots[at] <= this.#edge - COLUMNS || this.#slots[at] < 0) continue;
      const place = at * 2 * LEVELS;
      if (this.#counts[2 * at]) low = Math.min(low, this.#prices[place]);
      if (this.#counts[2 * at + 1]) high = Math.max(high, this.#prices[place + LEVELS]);
      if (last < 0 || this.#slots[at] > this.#slots[last]) last = at;
    }
    if (last < 0 || !(low < Infinity) || !(high > -Infinity)) return null;
    const place = last * 2 * LEVELS, [bids, asks] = [this.#counts[2 * last], this.#counts[2 * last + 1]];
    const below = bids ? this.#prices[place] - this.#prices[place + bids - 1] : 0;
    const above = asks ? this.#prices[place + LEVELS + asks - 1] - this.#prices[place + LEVELS] : 0;
    const reach = 0.7 * Math.max(below, above, (high - low) / 4, this.tick * 4);
    return [low - reach, high + reach];
  }

  #sized() {
    const { canvas } = this, ratio = Math.min(2, devicePixelRatio);
    const [width, height] = [Math.round(this.clientWidth * ratio), HEIGHT * ratio];
    if (!width || (canvas.width === width && canvas.height === height)) return;
    [canvas.width, canvas.height] = [width, height];
    canvas.style.height = `${HEIGHT}px`;
    this.ratio = ratio;
    this.#dirty = true;
    this.#draw();
  }

  #draw() {
    const edge = slotOf(this.#at ?? this.now);
    if (!this.ratio || document.hidden || (!this.#dirty && edge === this.#edge && !this.pointer)) return;
    this.#edge = edge;
    if (this.#at === null) this.#held(edge);
    const wanted = this.#range();
    const far = wanted && (wanted[0] < this.#low || wanted[1] > this.#high || (this.#high - this.#low) > 1.6 * (wanted[1] - wanted[0]));
    if (far || (this.#at === null && performance.now() - this.#scaledAt > SCALED_MS)) this.#painted();
    this.#dirty = false;
    const ctx = this.canvas.getContext("2d"), ratio = this.ratio;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    const width = this.canvas.width / ratio - GUTTER, height = HEIGHT - FOOT;
    ctx.clearRect(0, 0, width + GUTTER, HEIGHT);
    const x = (ts) => width * (1 - (edge + 1 - ts / STEP_MS) / COLUMNS);
    const y = (price) => (height * (this.#high - price)) / (this.#high - this.#low);
    ctx.font = "11px system-ui, sans-serif";
    if (wanted) {
      this.#heat(ctx, width, height);
      this.#best(ctx, x, y, 0, "--bid");
      this.#best(ctx, x, y, LEVELS, "--ask");
      this.#dots(ctx, x, y, width, height);
      this.#scale(ctx, y, width, height);
    }
    this.#times(ctx, x, width, height);
    this.#worded(x, y, width, height);
  }

  #heat(ctx, width, height) {
    ctx.imageSmoothingEnabled = false;
    const first = (this.#edge + 1) % COLUMNS, unit = width / COLUMNS;
    if (first < COLUMNS) ctx.drawImage(this.image, first, 0, COLUMNS - first, ROWS, 0, 0, (COLUMNS - first) * unit, height);
    if (first) ctx.drawImage(this.image, 0, 0, first, ROWS, (COLUMNS - first) * unit, 0, first * unit, height);
  }

  #best(ctx, x, y, side, name) {
    ctx.strokeStyle = colour(name);
    ctx.lineWidth = 1.5;
    ctx.beginPath();
    let drawing = false;
    for (let slot = Math.max(0, this.#edge - COLUMNS + 1); slot <= this.#edge; slot += 1) {
      const at = slot % COLUMNS;
      const there = this.#slots[at] === slot && this.#counts[2 * at + (side ? 1 : 0)] > 0;
      if (there) {
        const [left, top] = [x(slot * STEP_MS), y(this.#prices[at * 2 * LEVELS + side])];
        if (drawing) ctx.lineTo(left, top);
        else ctx.moveTo(left, top);
        ctx.lineTo(x((slot + 1) * STEP_MS), top);
      }
      drawing = there;
    }
    ctx.stroke();
  }

  /** Trades: a triangle that points up was bought, one that points down was sold; the area goes with the log of the size. */
  #dots(ctx, x, y, width, height) {
    const from = (this.#edge + 1 - COLUMNS) * STEP_MS, to = (this.#edge + 1) * STEP_MS;
    const paths = { buy: new Path2D(), sell: new Path2D() };
    let count = 0;
    for (let n = this.trades.length - 1; n >= 0 && count < MOST_TRADES && this.trades[n].ts >= from; n -= 1) {
      const { ts, price, size, side } = this.trades[n];
      const [left, top] = [x(ts), y(price)];
      if (ts > to || left < 0 || left > width || top < 0 || top > height) continue;
      const r = Math.min(7, 2 + 1.2 * log(size, this.#unit)), up = side === "buy" ? -1 : 1, path = paths[side] ?? paths.buy;
      path.moveTo(left - r, top - up * r * 0.6);
      path.lineTo(left + r, top - up * r * 0.6);
      path.lineTo(left, top + up * r);
      path.closePath();
      count += 1;
    }
    ctx.lineWidth = 1;
    ctx.strokeStyle = colour("--panel");
    for (const [side, name] of [["buy", "--bid"], ["sell", "--ask"]]) {
      ctx.fillStyle = colour(name);
      ctx.fill(paths[side]);
      ctx.stroke(paths[side]);
    }
    this.drawnTrades = count;
  }

  #scale(ctx, y, width, height) {
    const span = this.#high - this.#low, raw = span / 6, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw);
    const write = fixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
    ctx.fillStyle = colour("--dim");
    ctx.textBaseline = "middle";
    for (let n = Math.ceil(this.#low / step); n * step < this.#high; n += 1) {
      const top = y(n * step);
      if (top > 6 && top < height - 6) ctx.fillText(write(n * step), width + 6, top);
    }
    const at = this.#newest % COLUMNS;
    for (const [side, name] of [[0, "--bid"], [LEVELS, "--ask"]]) {
      const top = y(this.#prices[at * 2 * LEVELS + side]);
      ctx.fillStyle = colour(name);
      ctx.fillRect(width, top - 1, 4, 2);
    }
  }

  #times(ctx, x, width, height) {
    ctx.fillStyle = colour("--dim");
    ctx.textBaseline = "alphabetic";
    ctx.textAlign = "center";
    const minute = 60_000, last = (this.#edge + 1) * STEP_MS;
    for (let ts = Math.ceil((last - COLUMNS * STEP_MS) / minute) * minute; ts <= last; ts += minute) {
      const left = x(ts);
      if (left < 30 || left > width - 10) continue;
      ctx.fillRect(left, height, 1, 4);
      ctx.fillText(seconds(ts), left, HEIGHT - 4);
    }
    ctx.textAlign = "start";
  }

  #pointed(event) {
    const box = this.canvas.getBoundingClientRect();
    this.pointer = [event.clientX - box.left, event.clientY - box.top];
    this.#dirty = true;
  }

  #worded(_x, _y, width, height) {
    const write = fixed(Math.max(0, -Math.floor(Math.log10(this.tick || 0.01) + 1e-9))), size = significant(3);
    const at = this.#newest % COLUMNS, place = at * 2 * LEVELS;
    let words = "Nothing is known of these minutes.";
    if (this.#newest >= 0) {
      const range = this.#range();
      words = `Depth of ${this.#book} over 5 minutes: best bid ${write(this.#prices[place])}, best ask ${write(this.#prices[place + LEVELS])}`;
      words += range ? `, ${this.drawnTrades ?? 0} trades` : "";
    }
    const label = `${words}${this.missing ? `; ${this.missing}` : ""}`;
    if (this.canvas.getAttribute("aria-label") !== label) this.canvas.setAttribute("aria-label", label);
    let text = this.missing || "The stronger the colour, the more stands at that price (log of the size). Triangles are trades: up bought, down sold.";
    if (this.pointer && this.pointer[0] < width && this.pointer[1] < height) {
      const slot = this.#edge - COLUMNS + 1 + Math.floor((this.pointer[0] / width) * COLUMNS);
      const unit = (this.#high - this.#low) / ROWS, row = Math.floor((this.pointer[1] / height) * ROWS);
      const [top, bottom] = [this.#high - row * unit, this.#high - (row + 1) * unit];
      let sum = 0;
      const base = (slot % COLUMNS) * 2 * LEVELS;
      if (this.#slots[slot % COLUMNS] === slot)
        for (let each = base; each < base + 2 * LEVELS; each += 1) if (this.#prices[each] > bottom - 1e-12 && this.#prices[each] <= top) sum += this.#sizes[each];
      text = `${seconds(slot * STEP_MS)} UTC, ${write(bottom)} to ${write(top)}: ${sum ? size(sum) : "nothing"}`;
    }
    if (this.words.textContent !== text) this.words.textContent = text;
  }
}

customElements.define("depth-heat", DepthHeat);
