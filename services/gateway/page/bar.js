// The bar on top: where one is, how real it is, how well it is connected.

import { MODES, badge, html, nothing, repeat } from "./dom.js";
import { span, whole } from "./format.js";
import { stopButton } from "./halt.js";
import { confirmation } from "./widgets/confirm.js";

const THEMES = ["auto", "light", "dark"];
const THEME = "bookrunner.theme";
const NEWS_MS = 15_000; // how long it is said that the connection is there again

const root = document.documentElement;
const kept = localStorage.getItem(THEME);
root.dataset.theme = THEMES.includes(kept) ? kept : "auto";

function nextTheme() {
  root.dataset.theme = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
  localStorage.setItem(THEME, root.dataset.theme);
  globalThis.bookrunner.redraw();
}

/** The mode of a book's data, by its health. */
export const modeOf = (health) => (Object.hasOwn(MODES, health?.data.feed ?? "") ? health.data.feed : "unknown");

export function bar(scene) {
  const { store, symbol, symbols, view, views, href, go } = scene;
  const modes = [...new Set(store.all("healths").map(modeOf))];
  return html`
    <h1 class="unseen">${view.title}${symbol ? `, ${symbol}` : ""}</h1>
    <a class="brand" href=${href({ view: null, at: null })} @click=${(event) => link(event, scene, { view: null, at: null })} aria-label="Bookrunner">B<span>ookrunner</span></a>
    <span class="modes">${modes.map(badge)} ${badge("paper")}</span>
    <label class="symbol"><span class="unseen">Symbol</span>
      <select @change=${(event) => go({ symbol: event.target.value })}>
        ${repeat(symbols, (each) => each, (each) => html`<option value=${each} .selected=${each === symbol}>${each}</option>`)}
      </select>
    </label>
    <nav aria-label="Views">
      ${repeat(views, (each) => each.id, (each) => html`<a
          href=${href({ view: each.id })}
          aria-current=${each === view ? "page" : nothing}
          aria-keyshortcuts=${each.key}
          title="${each.title} (${each.key})"
          @click=${(event) => link(event, scene, { view: each.id })}
          >${each.title}</a
        >`)}
    </nav>
    ${connected(scene)}
    ${stopButton(scene)} ${confirmation()}
    <button type="button" class="quiet" @click=${nextTheme} title="Colours: ${root.dataset.theme} (light, dark, or auto: as the system has it)">
      <span aria-hidden="true">◐</span><span class="unseen">Colours: ${root.dataset.theme}</span>
    </button>
  `;
}

/** Follow a link within the page; with a key held down it is the browser's. */
export function link(event, scene, changes) {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button) return;
  event.preventDefault();
  scene.go(changes);
}

function connected(scene) {
  const [kind, words] = wordsOf(scene);
  return html`<span class="link ${kind}">${words}</span>`;
}

/** How well the page is connected: how good that is, and in words. */
function wordsOf({ connection, live, moments }) {
  const now = Date.now();
  const { state, since, away, missed, silent, reading, why } = connection;
  if (!live && moments.error) return ["bad", `not shown: ${moments.error}`];
  if (!live) return ["middling", moments.here ? "the past" : "reading the past …"];
  if (state === "connecting") return ["middling", "connecting …"];
  if (state === "lost") return ["bad", `not connected for ${span(now - since)}: ${why}`];
  if (reading) return ["bad", `connected; the state cannot be read: ${reading}`];
  if (silent) return ["middling", "connected, and nothing comes: Kafka or the services are away"];
  const news = [];
  if (away && now - since < NEWS_MS) news.push(`again, was away for ${span(away)}`);
  if (missed && now - missed.ts < NEWS_MS)
    news.push(
      missed.count === null
        ? "what was missed is not known, and all was read anew"
        : `${whole(missed.count)} messages were too many for this connection, and all was read anew`,
    );
  else if (news.length) news.push("nothing was missed");
  return ["good", `live${news.length ? ` ${news.join("; ")}` : ""}`];
}
