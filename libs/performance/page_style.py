"""How a report looks: light and dark, on paper, wide and narrow; nothing is fetched."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --back: #fbfbfa; --card: #fff; --ink: #1c2024; --dim: #5c656e;
  --rule: #dfe3e6;
  --main: #0b62c4; --other: #c05a00; --third: #6b7580; --up: 11 98 196; --down: 200 80 0; --loud: #8a1f11;
  --loud-back: #fdecea; --warn-back: #fff6dd; --warn: #6b4d00; }
@media (prefers-color-scheme: dark) {
  :root { --back: #14171a; --card: #1c2024; --ink: #e8eaec; --dim: #a2abb4; --rule: #343b42;
  --main: #6db0ff;
    --other: #ffa057; --third: #98a2ac; --up: 80 160 255; --down: 255 140 60; --loud: #ffb4a8;
  --loud-back: #4a1a14;
    --warn-back: #3b3110; --warn: #f4d98a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.25rem; background: var(--back); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; line-height: 1.2; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--rule); }
p { margin: .4rem 0; max-width: 60rem; }
code { font: .85em/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { margin: .4rem 0; padding: .6rem .8rem; background: var(--card); border: 1px solid var(--rule);
  border-radius: 6px; white-space: pre-wrap; }
a { color: var(--main); }
.sub, .none, .why { color: var(--dim); }
.why { font-size: .85em; }
.loud, .warn { margin: .75rem 0; padding: .6rem .9rem; border-radius: 6px; border-left: 5px solid;
  max-width: none; }
.loud { background: var(--loud-back); color: var(--loud); font-weight: 600; }
.warn { background: var(--warn-back); color: var(--warn); }
.loud ul, .warn ul { margin: 0; padding-left: 1.1rem; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .8rem 0; }
.facts dt { color: var(--dim); }
.facts dd { margin: 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .7rem;
  margin: 1.2rem 0; padding: 0;
  list-style: none; }
.cards li { background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
  padding: .6rem .8rem; }
.cards span { color: var(--dim); font-size: .85em; display: block; }
.cards b { font-size: 1.3rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
.cards small { color: var(--dim); display: block; }
figure { margin: 0 0 1.6rem; }
figcaption { display: flex; flex-wrap: wrap; gap: .2rem 1.5rem; margin-bottom: .8rem; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; margin: 0; padding: 0;
  font-size: .88em; }
.legend i { display: inline-block; width: 1.1em; height: .25em; margin-right: .4em;
  vertical-align: middle; }
.legend b { font-variant-numeric: tabular-nums; }
i.s0 { background: var(--main); } i.s1 { background: var(--other); } i.s2 { background: var(--third); }
.plot { position: relative; height: 17rem; margin: 0 1.2rem 1.9rem 5.4rem; }
.plot > svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; }
.plot span { position: absolute; font-size: .78rem; color: var(--dim); white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.plot .y { right: calc(100% + .5rem); transform: translateY(-50%); }
.plot .x { top: calc(100% + .35rem); transform: translateX(-50%); }
.low .plot { height: 9rem; }
.grid { stroke: var(--rule); stroke-width: 1; }
.line { fill: none; stroke-width: 1.7; stroke-linejoin: round; }
.line.s0 { stroke: var(--main); } .line.s1 { stroke: var(--other); } .line.s2 { stroke: var(--third);
  stroke-dasharray: 5 4; }
.area { fill: var(--main); opacity: .16; }
.fill.s0 { fill: var(--main); } .fill.s1 { fill: var(--other); } .fill.s2 { fill: var(--third); }
svg.cell { width: 7rem; height: .8rem; vertical-align: middle; overflow: visible; }
.behind { display: inline-block; min-width: 6.2em; }
.wide { overflow-x: auto; margin: .6rem 0 1.2rem; }
table { border-collapse: collapse; width: max-content; min-width: 100%;
  font-variant-numeric: tabular-nums; font-size: .92em; }
caption { text-align: left; color: var(--dim); padding-bottom: .35rem; }
th, td { padding: .32rem .7rem .32rem 0; text-align: right; border-bottom: 1px solid var(--rule);
  vertical-align: top;
  overflow-wrap: normal; white-space: nowrap; }
td .why { display: inline-block; width: max-content; max-width: 24rem; white-space: normal; }
td code { white-space: nowrap; }
th:first-child, th.text, td.text { text-align: left; }
th.text, td.text { padding-left: .7rem; }
th { font-weight: 600; } tbody th { font-weight: 500; } thead th { color: var(--dim);
  vertical-align: bottom; }
.heat thead th:not(:first-child) { text-align: center; }
td.heat { padding: .3rem .45rem; text-align: center; border: 1px solid var(--back);
  white-space: nowrap; }
td.best, .best td, .best th { font-weight: 700; }
summary { cursor: pointer; color: var(--dim); }
footer { margin-top: 2.5rem; color: var(--dim); font-size: .88em; border-top: 1px solid var(--rule);
  padding-top: .75rem; }
@media (max-width: 640px) {
  body { padding: .8rem; font-size: 14.5px; }
  .facts { grid-template-columns: 1fr; gap: 0; } .facts dd { margin-bottom: .45rem; }
  .plot { margin-left: 4.2rem; margin-right: .9rem; height: 13rem; }
  .plot .x:nth-of-type(even) { display: none; }
  .cards { grid-template-columns: repeat(2, 1fr); }
  table { width: 100%; }
  th, td { white-space: normal; padding-right: .5rem; }
  td .why { display: block; width: auto; max-width: 10rem; }
}
@media print { body { max-width: none; } .wide { overflow: visible; } }
"""
