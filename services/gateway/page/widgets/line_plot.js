// <line-plot>: numbers over time, by uPlot; in the colours of the sheet, as wide as its place, and in words too.

import { NONE, seconds, significant, span } from "../format.js";
import { colour, onTheme } from "./theme.js";

const LEAST_PAUSE_MS = 500; // between two drawings of what came meanwhile
const MOST_MARKS = 200;
const HUES = 7;
const DASHES = [[], [6, 3], [2, 3]]; // so that lines of one hue differ, and hues are not all that differs
const LEAST_AXIS = 42; // CSS pixels
const LETTER = 7; // wide, at most

/**
 * Properties, which may be handed over anew at each frame; what has not changed costs nothing:
 * - label, unit, height in CSS pixels, write: of a value; ranges: [least, most] of the values, each may be null
 * - series: [{label, of?: a value of a point, hue?: 1 to 7 or like `--bid`, dash?: 0 to 2, step?, fill?, write?}…]
 * - points: for each series its points, oldest first, each {ts, …} or [ts, value]; range: [from, to] in ms, or null
 * - marks: [{ts, label, hue?}…] on the time axis; widest: a text that the values' axis has room for
 */
class LinePlot extends HTMLElement {
  #plot = null;
  #said = "";
  #drawnAt = -Infinity;
  #timer = 0;
  #ends = [];
  label = "";
  unit = "";
  widest = "";
  height = 180;
  write = significant(3);
  range = null;
  ranges = null;
  #series = [];
  #points = [];
  #marks = [];
  #lines = []; // the series that are drawn, and their values
  #tables = [];

  set series(series) {
    this.#series = series;
    this.#later();
  }

  set points(points) {
    this.#points = points;
    this.#later();
  }

  set marks(marks) {
    this.#marks = marks ?? [];
    this.#later();
  }

  connectedCallback() {
    this.#said = "";
    this.replaceChildren(document.createElement("div"), document.createElement("ul"));
    this.lastChild.className = "legend";
    const resized = new ResizeObserver(() => this.#sized());
    resized.observe(this);
    this.#ends = [() => resized.disconnect(), onTheme(() => this.#made())];
    this.#later();
  }

  disconnectedCallback() {
    for (const end of this.#ends) end();
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#plot?.destroy();
    this.#plot = null;
    this.replaceChildren();
  }

  /** Draw soon, if anything is new by then. */
  #later() {
    if (this.#timer || !this.isConnected) return;
    const pause = this.#drawnAt + LEAST_PAUSE_MS - performance.now();
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.#draw();
    }, Math.max(0, pause));
  }

  #draw() {
    if (!this.clientWidth) return; // not laid out: its observer tells when it is
    const shape = JSON.stringify([this.#series.map(({ label, hue, dash, step, fill }) => [label, hue, dash, step, fill])]);
    const last = (points) => points.at(-1)?.ts ?? points.at(-1)?.[0];
    const said = JSON.stringify([this.#points.map((each) => [each.length, last(each)]), this.#marks.length, this.range]);
    if (shape === this.shape && said === this.#said && this.#plot) return;
    this.#drawnAt = performance.now();
    this.#said = said;
    if (shape === this.shape && this.#plot) {
      this.#plot.setData(this.#data());
      this.#worded();
    } else {
      this.shape = shape;
      this.#made();
    }
  }

  /** The points of all series on one time axis. */
  #data() {
    const [from, to] = this.range ?? [-Infinity, Infinity];
    this.#lines = this.#series;
    const tables = this.#lines.map(({ of }, at) => {
      const xs = [], ys = [];
      for (const point of this.#points[at] ?? []) {
        const ts = point.ts ?? point[0];
        if (ts < from || ts > to || ts === xs.at(-1)) continue;
        xs.push(ts);
        ys.push((of ? of(point) : point[1]) ?? null);
      }
      return [xs, ys];
    });
    this.#tables = tables;
    return tables.length ? uPlot.join(tables) : [[]];
  }

  #made() {
    this.#plot?.destroy();
    this.#plot = null;
    if (!this.clientWidth || !this.isConnected) return;
    const axis = { stroke: colour("--dim"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const write = (_plot, values) => values.map((value) => this.write(value));
    const options = {
      ...{ width: this.clientWidth, height: this.height, ms: 1, legend: { show: false }, padding: [8, 30, 0, 0] },
      tzDate: (ms) => uPlot.tzDate(new Date(ms), "Etc/UTC"),
      cursor: { drag: { x: false, y: false }, points: { size: 5 } },
      scales: { x: { range: this.#stretch.bind(this) }, y: { range: this.#ranged.bind(this) } },
      axes: [
        { ...axis, values: (_plot, ticks) => ticks.map(seconds), space: 76, size: 28 },
        { ...axis, values: write, size: this.#wideEnough.bind(this) },
      ],
      series: [{}, ...this.#series.map((each, at) => this.#line(each, at))],
      hooks: { draw: [(plot) => this.#marked(plot)], setCursor: [() => this.#worded()] },
    };
    this.#plot = new uPlot(options, this.#data(), this.firstChild);
    this.#plot.root.setAttribute("aria-hidden", "true"); // said in words instead
    this.#worded();
  }

  #wideEnough(_plot, values) {
    return Math.max(LEAST_AXIS, ...(values ?? []).concat(this.widest).map(({ length }) => LETTER * length + 20));
  }

  #stretch(_plot, least, most) {
    if (this.range) return this.range;
    if (least === null) return [Date.now() - 60_000, Date.now()];
    return least === most ? [least - 30_000, most + 30_000] : [least, most];
  }

  #ranged(_plot, least, most) {
    if (least === null) return [0, 1];
    const room = (most - least || Math.abs(most) || 1) * 0.08;
    const [low, high] = this.ranges ?? [];
    return [low ?? least - room, high ?? most + room];
  }

  #hue(each, at) {
    return typeof each.hue === "string" ? each.hue : `--hue-${each.hue ?? (at % HUES) + 1}`;
  }

  #line(each, at) {
    const stroke = colour(this.#hue(each, at));
    const dash = DASHES[each.dash ?? Math.floor(at / HUES) % DASHES.length];
    const line = { label: each.label, stroke, dash, width: 1.5, spanGaps: true, points: { show: false } };
    if (each.fill) line.fill = stroke.replace("rgb(", "rgba(").replace(")", ", .15)");
    return each.step ? { ...line, paths: uPlot.paths.stepped({ align: 1 }) } : line;
  }

  /** Draw the events on the time axis. */
  #marked({ ctx, bbox, valToPos }) {
    ctx.save();
    ctx.lineWidth = devicePixelRatio;
    for (const { ts, hue } of this.#marks.slice(-MOST_MARKS)) {
      const x = Math.round(valToPos(ts, "x", true));
      if (!(x >= bbox.left && x <= bbox.left + bbox.width)) continue;
      ctx.strokeStyle = ctx.fillStyle = colour(hue ?? "--bad");
      ctx.setLineDash([4, 3]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      const size = 5 * devicePixelRatio;
      ctx.beginPath();
      ctx.moveTo(x - size, bbox.top);
      ctx.lineTo(x + size, bbox.top);
      ctx.lineTo(x, bbox.top + 1.5 * size);
      ctx.fill();
    }
    ctx.restore();
  }

  /** Say what is shown: the legend, with the values under the cursor or the newest, and the whole as a sentence. */
  #worded() {
    const at = this.#plot?.cursor.idx ?? null;
    const legend = this.lastChild;
    while (legend.childElementCount > this.#lines.length) legend.lastChild.remove();
    this.#lines.forEach((each, n) => {
      let item = legend.children[n];
      if (!item) {
        item = document.createElement("li");
        item.append(document.createElement("i"), "");
        legend.append(item);
      }
      item.firstChild.style.background = colour(this.#hue(each, n));
      const value = at === null ? this.#tables[n][1].at(-1) : this.#plot.data[n + 1][at];
      item.lastChild.data = `${each.label} ${(each.write ?? this.write)(value)}${this.unit && ` ${this.unit}`}`;
    });
    if (at !== null) return;
    this.setAttribute("role", "img");
    this.setAttribute("aria-label", this.#sentence());
  }

  #sentence() {
    const lines = this.#lines.map((each, at) => {
      const [xs, ys] = this.#tables[at], write = each.write ?? this.write;
      const values = ys.filter((value) => value !== null);
      if (!values.length) return `${each.label}: nothing yet`;
      const ends = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
      const over = `${write(ends[0])} to ${write(ends[1])} over ${span(xs.at(-1) - xs[0])}`;
      return `${each.label}: ${write(values.at(-1))}, ${over}`;
    });
    const marks = this.#marks.length ? `; marked: ${this.#marks.slice(-5).map((mark) => `${mark.label} at ${seconds(mark.ts)}`).join(", ")}` : "";
    return `${this.label}${this.unit && `, ${this.unit}`}. ${lines.join("; ") || NONE}${marks}`;
  }

  #sized() {
    if (!this.#plot) this.#draw();
    else if (this.#plot.width !== this.clientWidth) this.#plot.setSize({ width: this.clientWidth, height: this.height });
  }
}

customElements.define("line-plot", LinePlot);
