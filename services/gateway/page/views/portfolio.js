// Portfolio: what is held and what it is worth, the risk it takes, and what the optimiser would hold instead.

import "../widgets/line_plot.js";
import { send } from "../ask.js";
import { derived, fact, heads, html, memo, nothing, number, panel, recordLink, say } from "../dom.js";
import { fixed, money, NONE, percent, significant, time, whole } from "../format.js";
import { Polled } from "../polled.js";

const BOOK = "default"; // every fill belongs to it
const LIMITS_MS = 5000;
const BAR = 160;
const HUES = 6;

const digits = significant(6);
const share = percent(2);
const perDay = percent(3);
const exponent = (value) => Number(value).toExponential(1);
const sign = (value) => (value < 0 ? "bad" : value > 0 ? "good" : "");
const limits = new Polled(LIMITS_MS);

export const portfolio = {
  id: "portfolio",
  title: "Portfolio",
  key: "p",
  draw(scene) {
    const { store } = scene;
    const [equity, risk, best] = ["equity", "risk", "allocations"].map((short) => store.get(short, BOOK));
    const points = store.history.of("equity", BOOK);
    const positions = store.all("positions");
    const asked = [asking.state, asking.words, scene.live, scene.symbols.join()];
    return html`<div class="grid portfolio">
      ${memo([equity, points.length, points.at(-1)], () => worth(equity, points))}
      ${memo([risk, ...positions], () => held(positions, risk))}
      ${memo([risk], () => cvar(risk))}
      ${memo([risk, best, ...asked], () => optimiser(scene, risk, best, positions))}
      ${limitsPanel(scene)}
    </div>`;
  },
};

const EQUITY = [{ label: "equity", hue: 1 }];
const DRAWDOWN = [{ label: "drawdown", hue: "--bad", fill: true }];
const BELOW = [null, 0];
const FALL = "equity / the highest equity shown before it − 1";

function worth(equity, points) {
  const what = { title: "Worth", id: "equity", mode: "paper", wide: true };
  if (!equity) return panel(what, html`<p class="wait">Nothing is marked yet: it is with the first minute.</p>`);
  const { worths, falls, deepest } = curves(points);
  const { equity: now, capital, cause } = equity.data;
  const widest = money(Math.max(...worths.map(([, value]) => Math.abs(value)))); // of the values' labels
  const gain = derived(now / capital - 1, percent(3), "equity / capital − 1", sign(now - capital));
  const note = html`marked at ${number(equity, "ts", time)} (${cause}) ${recordLink(equity.id)}`;
  return panel(
    { ...what, record: equity, note },
    html`<dl class="facts">
        ${fact("equity", html`<strong>${number(equity, "equity", money)}</strong>`)}
        ${fact("since the start", gain)}
        ${fact("capital", number(equity, "capital", money))}
        ${fact("realised", number(equity, "realizedPnl", money))}
        ${fact("unrealised", number(equity, "unrealizedPnl", money))}
        ${fact("fees", number(equity, "fees", money))}
        ${fact("fills", number(equity, "fills", whole))}
        ${fact("below the highest shown", derived(falls.at(-1)?.[1], percent(3), FALL))}
        ${fact("deepest shown", derived(deepest, percent(3), `the least of ${FALL}`))}
      </dl>
      ${worths.length > 1
        ? html`<line-plot .label=${"Equity"} .unit=${"quote units"} .write=${money} .series=${EQUITY}
              .points=${[worths]} .widest=${widest}></line-plot>
            <line-plot .label=${"Drawdown: equity below the highest before it"} .height=${110} .write=${percent(3)}
              .ranges=${BELOW} .series=${DRAWDOWN} .points=${[falls]} .widest=${widest}></line-plot>`
        : html`<p class="wait">A line takes two marks: there is one each minute and after each fill.</p>`}`,
  );
}

function curves(points) {
  let high = -Infinity, deepest = null;
  const worths = [], falls = [];
  for (const { ts, equity } of points) {
    const value = Number(equity);
    high = Math.max(high, value);
    worths.push([ts, value]);
    falls.push([ts, value / high - 1]);
    deepest = Math.min(deepest ?? 0, value / high - 1);
  }
  return { worths, falls, deepest };
}

function held(positions, risk) {
  const what = { title: "Positions", id: "positions", mode: "paper", wide: true };
  if (!positions.length) return panel(what, html`<p class="wait">Nothing was ever filled.</p>`);
  const columns = ["symbol", "held", "average cost", "mark", "worth", "of equity", "unrealised", "realised", "fees"];
  const row = (position) => {
    const { symbol, quantity, mark, unrealizedPnl } = position.data;
    const flat = Number(quantity) === 0 ? html` <span class="note">flat</span>` : nothing;
    return html`<tr data-record=${position.id}>
      <th scope="row">${symbol}${flat}</th>
      <td>${number(position, "quantity", digits)}</td>
      <td>${number(position, "avgPrice", digits)}</td>
      <td>${number(position, "mark", digits)}</td>
      <td>${derived(mark === null ? null : quantity * mark, money, "held × mark")}</td>
      <td data-record=${risk?.id ?? nothing}>${number(risk, `bySymbol.${symbol}.weight`, share)}</td>
      <td>${number(position, "unrealizedPnl", money, sign(Number(unrealizedPnl)))}</td>
      <td>${number(position, "realizedPnl", money)}</td>
      <td>${number(position, "fees", money)}</td>
      <td>${number(position, "fills", whole)}</td>
      <td>${number(position, "markTs", time)}</td>
    </tr>`;
  };
  return panel(what, html`<div class="scroll"><table>
    ${heads(...columns, "fills", "marked at")}
    <tbody>${positions.map(row)}</tbody>
  </table></div>`);
}

function cvar(risk) {
  const what = { title: "CVaR", id: "cvar", mode: "paper", wide: true };
  if (!risk) return panel(what, html`<p class="wait">No risk is assessed yet: that takes daily candles.</p>`);
  const { bySymbol, cvarBudget, cvarUsed, confidence } = risk.data;
  const used = (symbol) => bySymbol[symbol].used;
  const symbols = Object.keys(bySymbol).sort((a, b) => used(b) - used(a) || (a < b ? -1 : 1));
  const tones = new Map(symbols.filter((symbol) => used(symbol) > 0).map((symbol, n) => [symbol, (n % HUES) + 1]));
  const worst = derived(1 - confidence, percent(1), "1 − confidence");
  const assumed = html`<span class="bad">too little history: a total loss in a day is assumed</span>`;
  const note = html`expected loss on the worst ${worst} of days, of equity; ${number(risk, "ts", time)}
    ${recordLink(risk.id)}`;
  const row = (symbol) => html`<tr>
    <th scope="row">${tones.has(symbol) ? html`<i class="swatch hue-${tones.get(symbol)}"></i>` : nothing}${symbol}
      ${bySymbol[symbol].assumed ? assumed : nothing}</th>
    <td>${number(risk, `bySymbol.${symbol}.weight`, share)}</td>
    <td>${number(risk, `bySymbol.${symbol}.cvar`, share)}</td>
    <td>${number(risk, `bySymbol.${symbol}.used`, perDay)}</td>
    <td>${derived(cvarBudget ? used(symbol) / cvarBudget : null, percent(1), "used / budget")}</td>
    <td>${number(risk, `bySymbol.${symbol}.vol`, share)}</td>
    <td>${number(risk, `bySymbol.${symbol}.effectiveDays`, whole)}</td>
  </tr>`;
  return panel(
    { ...what, record: risk, note },
    html`<dl class="facts">
        ${fact("used", number(risk, "cvarUsed", perDay, cvarUsed > cvarBudget ? "bad" : ""))}
        ${fact("left", html`<strong>${number(risk, "cvarLeft", perDay)}</strong>`)}
        ${fact("budget", number(risk, "cvarBudget", perDay))}
      </dl>
      ${budgetBar([...tones].map(([symbol, tone]) => [symbol, used(symbol), tone]), cvarUsed, cvarBudget)}
      <div class="scroll"><table>
        ${heads("symbol", "weight", "CVaR of one unit", "used", "of the budget", "volatility a day", "days of equal weight")}
        <tbody>${symbols.map(row)}</tbody>
      </table></div>`,
  );
}

/** The budget as one bar, in it what each symbol uses; the table below says the same. */
function budgetBar(parts, used, budget) {
  const scale = 100 / (Math.max(budget, used) || 1);
  let from = 0;
  const part = ([, value, tone]) => {
    const x = from;
    from += scale * value;
    return html`<svg x=${x} y="0" width=${scale * value} height="8">
      <rect class="hue-${tone}" width="100%" height="8"></rect>
    </svg>`;
  };
  return html`<svg class="shares" viewBox="0 0 100 8" preserveAspectRatio="none" width="100%" height="14" role="img"
    aria-label="${budget ? percent(1)(used / budget) : NONE} of the budget is used">${parts.map(part)}</svg>`;
}

const STATUS = {
  optimal: "no other weights within the limits are better",
  all_cash: "no symbol is expected to earn anything, so all is cash",
  tolerance_not_met: "within the limits, but better weights may exist",
  insufficient_history: "no symbol has days enough, so all is cash",
};

const LIMITS = { cvar_budget: "CVaR budget", vol_target: "volatility ceiling", invested: "the whole of the capital" };

/** What the form asked for last: its state, and the words for it. */
const asking = { state: "", words: "" };

function optimiser(scene, risk, best, positions) {
  const found = best?.data.type === "PortfolioOptimized" ? best : undefined;
  const note = found ? html`asked at ${number(found, "ts", time)} ${recordLink(found.id)}` : nothing;
  return panel(
    { title: "Weights against the optimiser's", id: "optimiser", record: found, mode: "paper", wide: true, note },
    html`${found ? weights(risk, found) : html`<p class="wait">The optimiser was not asked yet.</p>`}
      ${scene.live ? form(scene, risk, found, positions) : nothing}`,
  );
}

function weights(risk, best) {
  const { data } = best;
  const bySymbol = risk?.data.bySymbol ?? {};
  const holds = (symbol) => bySymbol[symbol]?.weight ?? 0;
  const wants = (symbol) => data.weights[symbol];
  const names = new Set([...Object.keys(data.weights), ...Object.keys(bySymbol).filter(holds)]);
  const symbols = [...names].sort();
  const most = Math.max(0.01, ...symbols.flatMap((symbol) => [Math.abs(holds(symbol)), wants(symbol) ?? 0]));
  const row = (symbol) => html`<tr>
    <th scope="row">${symbol}</th>
    <td data-record=${risk?.id ?? nothing}>${number(risk, `bySymbol.${symbol}.weight`, share)}</td>
    <td>${number(best, `weights.${symbol}`, share)}</td>
    <td>${derived(holds(symbol) - wants(symbol), share, "held − optimiser's")}</td>
    <td class="plot">${bars(holds(symbol), wants(symbol) ?? 0, most)}</td>
    <td>${number(best, `mean.${symbol}`, perDay)}</td>
    <td>${number(best, `kelly.${symbol}`, share)}</td>
  </tr>`;
  const invested = Object.keys(bySymbol).reduce((sum, symbol) => sum + holds(symbol), 0);
  const pair = html`<span class="key held">held</span> <span class="key best">optimiser's</span>`;
  const sum = data.mode === "sum_cvar";
  return html`<p><strong>${data.status}</strong>: ${STATUS[data.status] ?? data.reason}; others are better by
      ${number(best, "gap", exponent)} a day at most, which is proven.
      ${data.dropped.length ? html`Left out, with too few days or ended: ${data.dropped.join(", ")}.` : nothing}</p>
    <div class="scroll"><table>
      ${heads("symbol", "held", "optimiser's", "difference", [pair, undefined, "plot"], "expected a day", "Kelly")}
      <tbody>
        ${symbols.map(row)}
        <tr>
          <th scope="row">cash</th>
          <td>${derived(risk ? 1 - invested : null, share, "1 − all weights held")}</td>
          <td>${number(best, "cash", share)}</td>
          <td colspan="4"></td>
        </tr>
      </tbody>
    </table></div>
    <dl class="facts">
      ${fact("expected return a day", number(best, "expectedReturn", perDay))}
      ${fact("volatility a day", html`${number(best, "vol", perDay)} of ${number(best, "volTarget", perDay)}`)}
      ${fact(sum ? "sum of the CVaRs" : "CVaR of the portfolio",
        html`${number(best, sum ? "cvarSum" : "cvarPortfolio", perDay)} of ${number(best, "cvarBudget", perDay)}`)}
      ${fact("caution", html`counted ${number(best, "caution", fixed(2))} times`)}
      ${fact("days of equal weight", number(best, "effectiveDays", whole))}
    </dl>
    <h3>Shadow prices: what a little more of a limit would be worth</h3>
    <div class="scroll"><table>
      ${heads("limit", "utility per unit", "binds")}
      <tbody>${Object.keys(data.shadowPrices).map((name) => html`<tr>
        <th scope="row">${LIMITS[name] ?? name}</th>
        <td>${number(best, `shadowPrices.${name}`, significant(3))}</td>
        <td>${data.binding.includes(name) ? html`<strong class="middling">binds</strong>` : "no"}</td>
      </tr>`)}</tbody>
    </table></div>`;
}

function bars(holds, wants, most) {
  const width = (value) => (Math.abs(value) / most) * BAR;
  return html`<svg class="pair-bars" width=${BAR} height="16" viewBox="0 0 ${BAR} 16" aria-hidden="true">
    <rect class=${holds < 0 ? "held short" : "held"} width=${width(holds)} y="1" height="6"></rect>
    <rect class="best" width=${width(wants)} y="9" height="6"></rect>
  </svg>`;
}

function form(scene, risk, best, positions) {
  const has = positions.filter(({ data }) => Number(data.quantity)).map(({ data }) => data.symbol);
  const box = (symbol) =>
    html`<label><input type="checkbox" name="symbols" value=${symbol} checked> ${symbol}</label>`;
  const amount = (label, name, value) => html`<label>${label}
    <input name=${name} type="number" min="0" max="1" step="any" required value=${value}></label>`;
  return html`<details>
    <summary>Ask the optimiser</summary>
    <form class="ask" @submit=${(event) => ask(event, scene)}>
      <fieldset><legend>Symbols</legend>${[...new Set([...has, ...scene.symbols])].map(box)}</fieldset>
      ${amount("CVaR budget a day (1 is 100 %)", "cvarBudget", best?.data.cvarBudget ?? risk?.data.cvarBudget ?? 0.05)}
      ${amount("Volatility ceiling a day (1 is 100 %)", "volTarget", best?.data.volTarget ?? 0.02)}
      <label>The budget limits <select name="mode">
        <option value="sum_cvar">the sum of the symbols' CVaRs</option>
        <option value="portfolio_cvar">the CVaR of the portfolio</option>
      </select></label>
      <button ?disabled=${asking.state === "asked"}>Optimise</button>
      <output class=${asking.state === "refused" ? "bad" : ""}>${asking.words}</output>
    </form>
  </details>`;
}

async function ask(event, scene) {
  event.preventDefault();
  const form = new FormData(event.target);
  const told = (state, words) => {
    Object.assign(asking, { state, words });
    say(words);
    scene.redraw();
  };
  const symbols = form.getAll("symbols");
  if (!symbols.length) {
    told("refused", "Choose one symbol at least.");
    return;
  }
  told("asked", "asking …");
  const [cvarBudget, volTarget] = ["cvarBudget", "volTarget"].map((name) => Number(form.get(name)));
  try {
    const body = { symbols, cvarBudget, volTarget, mode: form.get("mode") };
    const answer = await send("POST", "api/portfolio/optimize", body);
    told("answered", `${answer.status}: ${STATUS[answer.status] ?? answer.reason}`);
  } catch (error) {
    told("refused", error.message);
  }
}

function limitsPanel(scene) {
  const what = { title: "Limits", id: "limits", mode: "paper", wide: true };
  if (!scene.live)
    return panel(what, html`<p class="wait">Their use is known of now alone: go back to live to see it.</p>`);
  limits.look("api/exec/limits", scene.redraw);
  return memo([limits.value, limits.error], () => panel(what, limitsTable(limits)));
}

function limitsTable({ value, error }) {
  if (!value) return html`<p class="wait">${error ? `Not known: ${error}` : "Asking …"}</p>`;
  const halt = ({ scope, reason }) => html`<p class="bad"><strong>Halted</strong> ${scope}: ${reason}</p>`;
  return html`
    ${error ? html`<p class="bad">Not asked anew: ${error}</p>` : nothing}
    ${value.halts.map(halt)}
    <div class="scroll"><table>
      ${heads("limit", ["of", undefined, "symbol"], "use", "limit", "room", ["used", undefined, "plot"],
        ["if it is exceeded", undefined, "told"], "set by")}
      <tbody>${value.limits.map(limitRow)}</tbody>
    </table></div>`;
}

const OF = "GET /api/exec/limits";
const words = (name) => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

function limitRow({ limit, scope, value, use, headroom, unknown, unit, breach, setBy }) {
  const write = /^(fraction|share) /.test(unit) ? percent(2) : whole;
  const off = value === 0;
  const least = limit === "minLiveVenues"; // the one of which more is better
  const full = use === null || off ? null : least ? Math.min(1, value / (use || value)) : use / value;
  const meter = html`<meter min="0" max="1" high="0.8" optimum="0" value=${Math.min(1, Math.max(0, full))}
    aria-label="${words(limit)} of ${scope}: used"></meter>`;
  return html`<tr>
    <th scope="row">${words(limit)}</th>
    <td class="symbol">${scope}</td>
    <td>${use === null ? html`<span class="none told">${unknown || NONE}</span>` : derived(use, write, OF)}</td>
    <td>${off ? "off" : derived(value, write, OF)}</td>
    <td>${derived(headroom, write, OF, sign(Math.min(headroom, 0)))}</td>
    <td class="plot">${full === null ? nothing : meter}</td>
    <td class="told">${breach}</td>
    <td>${setBy}</td>
  </tr>`;
}
