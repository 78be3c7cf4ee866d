// <density-plot>: what is believed of several things, each as the density of its law, one below the other.

import { NONE, percent } from "../format.js";

const SVG = "http://www.w3.org/2000/svg";
const ROW = 46; // CSS pixels of a law
const HEIGHT = 38; // of its highest point
const AXIS = 22;
const NAME = 92; // beside the curves, for names and chances
const CHANCE = 52;
const NARROW = 480; // below this width names stand above their curves
const GRID = 120; // points of a curve, besides those around each of its parts
const AROUND = [0, 0.3, 0.6, 0.9, 1.2, 1.5, 2, 2.5, 3, 3.5, 4.5, 6].flatMap((t) => [-t, t]); // scales from its mean
const LETTERS = 13; // of a name, beside its curve
const ROOM = 0.25; // of the intervals' width, on both sides of them
const TICKS = [1, 2, 5, 10];

/**
 * The density of a mixture of Student's t but for the factor that all parts with these `degrees` share.
 * @param {{degrees: number, weights: number[], means: number[], scales: number[]}} law
 */
export function shape(law, y) {
  const { degrees, weights, means, scales } = law;
  let sum = 0;
  for (let q = 0; q < weights.length; q += 1) {
    const t = (y - means[q]) / scales[q];
    sum += (weights[q] / scales[q]) * (1 + (t * t) / degrees) ** (-(degrees + 1) / 2);
  }
  return sum;
}

/** Where a law is looked at: evenly, and closely around each of its parts, so that no narrow one is missed. */
export function points(law, from, to) {
  const xs = Array.from({ length: GRID + 1 }, (_, n) => from + ((to - from) * n) / GRID);
  law.means.forEach((mean, q) => xs.push(...AROUND.map((t) => mean + t * law.scales[q])));
  return xs.filter((x) => x >= from && x <= to).sort((a, b) => a - b);
}

function ticks(from, to, most) {
  const size = 10 ** Math.floor(Math.log10((to - from) / most));
  const step = size * (TICKS.find((each) => (to - from) / (size * each) <= most) ?? 10);
  const found = [];
  for (let n = Math.ceil(from / step); n * step <= to; n += 1) found.push(n * step);
  return found;
}

function drawn(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [each, value] of Object.entries(attributes)) element.setAttribute(each, value);
  element.append(...children);
  return element;
}

/**
 * Properties:
 * - laws: [{label, degrees, weights, means, scales, low, high, mean, chance, mark?, hue}…]; low to high is drawn as
 *   its interval; chance is written beside it; mark: a value drawn from it; hue: 1 to 6
 * - label: what is shown, in words; write: of a value, on the axis and in words; version: what changes when laws do
 */
class DensityPlot extends HTMLElement {
  #laws = [];
  #version = null;
  #drawn = "";
  #ends = () => {};
  label = "";
  write = String;

  set laws(laws) {
    this.#laws = laws;
    this.#draw();
  }

  set version(version) {
    this.#version = version;
    this.#draw();
  }

  connectedCallback() {
    const resized = new ResizeObserver(() => this.#draw());
    resized.observe(this);
    this.#ends = () => resized.disconnect();
    this.#draw();
  }

  disconnectedCallback() {
    this.#ends();
    this.#drawn = "";
    this.replaceChildren();
  }

  #draw() {
    const width = this.clientWidth;
    const now = `${width}/${this.#version}/${this.#laws.length}`;
    if (!this.isConnected || !width || now === this.#drawn) return;
    this.#drawn = now;
    this.replaceChildren();
    this.setAttribute("role", "img");
    this.setAttribute("aria-label", this.#sentence());
    if (!this.#laws.length) return;
    const narrow = width < NARROW;
    const left = narrow ? 4 : NAME, right = width - CHANCE;
    const lows = Math.min(...this.#laws.map((law) => law.low)), highs = Math.max(...this.#laws.map((law) => law.high));
    const room = (highs - lows || 1e-9) * ROOM;
    const [from, to] = [Math.min(lows - room, 0), Math.max(highs + room, 0)];
    const x = (value) => left + ((Math.min(Math.max(value, from), to) - from) / (to - from)) * (right - left);
    const bottom = this.#laws.length * ROW + 8;
    const height = bottom + AXIS;
    const image = drawn("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    for (const tick of ticks(from, to, Math.max(2, (right - left) / 90))) {
      image.append(
        drawn("line", { class: Math.abs(tick) < 1e-15 ? "zero" : "grid", x1: x(tick), x2: x(tick), y1: 4, y2: bottom }),
        drawn("text", { class: "tick", x: x(tick), y: bottom + 15, "text-anchor": "middle" }, this.write(tick)),
      );
    }
    this.#laws.forEach((law, n) => image.append(this.#law(law, (n + 1) * ROW, x, [from, to], narrow, right)));
    this.append(image);
  }

  #law(law, base, x, [from, to], narrow, right) {
    const xs = points(law, from, to), ys = xs.map((each) => shape(law, each));
    const most = Math.max(...ys) || 1;
    const along = xs.map((each) => x(each).toFixed(1));
    const curve = along.map((each, n) => `L${each},${(base - (HEIGHT * ys[n]) / most).toFixed(1)}`);
    const path = `M${along[0]},${base}${curve.join("")}L${along.at(-1)},${base}Z`;
    const name = narrow || law.label.length <= LETTERS ? law.label : `${law.label.slice(0, LETTERS - 1)}…`;
    const row = drawn("g", { class: `law hue-${law.hue}` });
    row.append(
      drawn("path", { class: "curve", d: path }),
      drawn("line", { class: "interval", x1: x(law.low), x2: x(law.high), y1: base, y2: base }),
      drawn("line", { class: "mean", x1: x(law.mean), x2: x(law.mean), y1: base - HEIGHT, y2: base + 3 }),
      drawn("text", { class: "name", x: 0, y: narrow ? base - HEIGHT + 12 : base - 6 }, name),
      drawn("text", { class: "chance", x: right + CHANCE, y: base - 6, "text-anchor": "end" }, chance(law)),
    );
    if (law.mark !== undefined && law.mark >= from && law.mark <= to) {
      const middle = x(law.mark);
      row.append(drawn("path", { class: "mark", d: `M${middle},${base}l-5,8h10Z` }));
    }
    return row;
  }

  #sentence() {
    const each = this.#laws.map(
      (law) =>
        `${law.label}: ${this.write(law.mean)}, with 90 % between ${this.write(law.low)} and ` +
        `${this.write(law.high)}, best with ${chance(law)}`,
    );
    return `${this.label}. ${each.join("; ") || "nothing yet"}`;
  }
}

const chance = (law) => (law.chance === null || law.chance === undefined ? NONE : percent(1)(law.chance));

customElements.define("density-plot", DensityPlot);
