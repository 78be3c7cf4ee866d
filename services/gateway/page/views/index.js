// The views, in the order of the bar; each draws itself from a scene (see main.js).

import { beliefs } from "./beliefs.js";
import { executions } from "./executions.js";
import { market } from "./market.js";
import { portfolio } from "./portfolio.js";
import { simulation } from "./simulation.js";
import { system } from "./system.js";
import { venues } from "./venues.js";
import { why } from "./why.js";

export const VIEWS = [market, venues, beliefs, why, executions, portfolio, system, simulation];

export const viewOf = (id) => VIEWS.find((each) => each.id === id) ?? market;
