// The bar below: the moment that is shown, and the way to any other that is kept.

import { html, nothing } from "./dom.js";
import { day, span } from "./format.js";

const KEPT_MS = 6 * 3600_000; // of book deltas
const WINDOWS = [["5 min", 300_000], ["1 h", 3600_000], ["6 h", KEPT_MS]];
const STEPS = { ArrowLeft: -1000, ArrowDown: -1000, ArrowRight: 1000, ArrowUp: 1000, PageDown: -60_000, PageUp: 60_000 };
const LIVE_MS = 500; // so near to the end is live

let window = WINDOWS[1][1];
let until = 0; // the right end; it stands while the past is shown, so that the thumb does not wander

/** The slider over what is kept, with keys for steps: a second, with shift ten, a minute by page, Home and End. */
export function timeBar(scene) {
  const { live, place, go, told } = scene;
  const now = Math.floor((Date.now() + scene.skew) / 1000) * 1000;
  const oldest = Math.max(told?.from ?? 0, now - KEPT_MS);
  const at = place.at ?? now;
  if (live || until > now || !until) until = now;
  if (at > until || at < until - window) until = Math.min(now, at + window / 2);
  const from = Math.max(oldest, until - window);
  const to = (ts) => go({ at: ts >= now - LIVE_MS ? null : Math.max(oldest, Math.round(ts)) }, !live);
  const step = (by) => to(at + by);
  const key = (event) => {
    const by = STEPS[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || !(by || event.key === "Home" || event.key === "End")) return;
    event.preventDefault();
    if (by) step(by * (event.shiftKey ? 10 : 1));
    else to(event.key === "End" ? now : from);
  };
  return html`
    <label><span>Time</span>
      <input
        type="range"
        min=${from}
        max=${until}
        step="100"
        .value=${String(live ? until : at)}
        aria-label="The moment that is shown"
        aria-valuetext=${live ? "live" : `${day(at)} UTC`}
        @keydown=${key}
        @input=${(event) => to(Number(event.target.value) >= until - LIVE_MS && until === now ? now : Number(event.target.value))}
      />
    </label>
    <label class="window"><span class="unseen">Length of the slider</span>
      <select @change=${(event) => {
        window = Number(event.target.value);
        scene.redraw();
      }}>
        ${WINDOWS.map(([name, length]) => html`<option value=${length} .selected=${length === window}>${name}</option>`)}
      </select>
    </label>
    <output>${live ? "live" : html`${day(at)} UTC, ${span(now - at)} ago`}</output>
    <span class="steps">
      <button type="button" aria-label="A second back" @click=${() => step(-1000)}>−1 s</button>
      ${live ? nothing : html`<button type="button" aria-label="A second on" @click=${() => step(1000)}>+1 s</button>
        <button type="button" class="back" aria-keyshortcuts="l" title="Back to live (l)" @click=${() => go({ at: null })}>Live</button>`}
    </span>
  `;
}
