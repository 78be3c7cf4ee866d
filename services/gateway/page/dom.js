// How things get onto the page: templates, numbers that say where they come from, and words that stay words.

import { Directive, directive } from "./vendor/directive.js";
import { html, noChange, nothing, render, svg } from "./vendor/lit-html.js";
import { repeat } from "./vendor/directives/repeat.js";
import { NONE } from "./format.js";

export { html, nothing, render, repeat, svg };

/** A part of the page that is drawn anew only when one of `of` is another value: `memo([record], () => html`…`)`. */
export const memo = directive(
  class extends Directive {
    render(of, draw) {
      if (this.of?.length === of.length && of.every((each, at) => Object.is(each, this.of[at]))) return noChange;
      this.of = of;
      return draw();
    }
  },
);

/** What a path like `features.spreadBps` or `bids.0.1` names in a message; names may have dots themselves. */
export function at(data, path) {
  let [value, rest] = [data, path];
  while (value !== null && value !== undefined) {
    if (Object.hasOwn(value, rest)) return value[rest];
    const dot = rest.indexOf(".");
    if (dot < 0) return undefined;
    const name = rest.slice(0, dot);
    value = Object.hasOwn(value, name) ? value[name] : undefined;
    rest = rest.slice(dot + 1);
  }
  return undefined;
}

/**
 * A number of a record, by its path: it stands in the page with the record's own value (`value`) and with the
 * path, so that whoever asks can find it again in the topic (`data-record` of the panel around it).
 */
export function number(record, path, write, kind = "") {
  const value = record === undefined ? undefined : at(record.data, path);
  if (value === null || value === undefined) return html`<span class="none" data-path=${path}>${NONE}</span>`;
  return html`<data class=${kind} value=${value} data-path=${path}>${write(value)}</data>`;
}

/** A number that is made here of others; `of` says how, for whoever points at it. */
export function derived(value, write, of, kind = "") {
  if (value === null || value === undefined || Number.isNaN(value))
    return html`<span class="none" title=${of}>${NONE}</span>`;
  return html`<data class=${kind} value=${value} data-derived title=${of}>${write(value)}</data>`;
}

/** A panel. record: whose numbers stand in it; mode: one of MODES; note: beside the title. */
export function panel({ title, record, mode, wide = false, id = "", note = nothing }, body) {
  return html`<section
    class=${wide ? "panel wide" : "panel"}
    aria-label=${title}
    data-panel=${id || title}
    data-record=${record?.id ?? nothing}
  >
    <h2><span class="title">${title}</span> ${mode ? badge(mode) : nothing}<span class="note">${note}</span></h2>
    ${body}
  </section>`;
}

/** What is shown: how real it is, in words and in colour. */
export const MODES = {
  simulator: ["SIMULATED", "simulated", "a market made up by the simulator"],
  replay: ["REPLAY", "replay", "a recording, played again"],
  live: ["LIVE DATA", "real", "an exchange's own data, as it comes"],
  paper: ["PAPER", "paper", "no order leaves this system: fills are computed from the books"],
  unknown: ["SOURCE UNKNOWN", "unknown", "the record does not say where its data comes from"],
};

export function badge(mode) {
  const [word, kind, meaning] = MODES[mode] ?? MODES.unknown;
  return html`<span class="badge ${kind}" title=${meaning}>${word}</span>`;
}

/** A link to the record that something was read from. */
export function recordLink(id, text = id) {
  if (!id) return nothing;
  const [topic, partition, offset] = id.split(":");
  return html`<a class="record" href="api/records/${topic}/${partition}/${offset}" target="_blank" rel="noopener"
    >${text}</a
  >`;
}

/** A state of a book or service, in its colour. */
export function state(word) {
  const good = word === "LIVE" || word === "ready" || word === "completed" || word === "active";
  const middling = ["SYNCING", "ONE_SIDED", "starting", "working", "planning", "skipped"].includes(word);
  return html`<span class="state ${good ? "good" : middling ? "middling" : "bad"}">${word}</span>`;
}

/** Say something to who hears the page instead of seeing it. */
export function say(text) {
  const said = document.getElementById("said");
  if (said.textContent !== text) said.textContent = text;
}

/** The head of a table: each column's name, or [name, what it means, class]. */
export const heads = (...columns) => html`<thead><tr>${columns.map((column) => {
  const [name, meaning, kind] = [column].flat();
  return html`<th scope="col" title=${meaning ?? nothing} class=${kind ?? nothing}>${name}</th>`;
})}</tr></thead>`;

/** One of a list of facts: what it is, and its value. */
export const fact = (name, value) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
