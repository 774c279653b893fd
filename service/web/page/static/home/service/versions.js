// The versions: the table, and the details of one with its actions, its decisions and error curves.

import { getNumbers, getParameter, setParameter } from "../shared/address.js";
import { callApi, fetchFrom, keyIsNeededToRead } from "../shared/api.js";
import { saveFile, showCurl } from "../shared/curl.js";
import { byId, decisionLabel, element, hide, table } from "../shared/dom.js";
import { act, messageOf, say, saidOf } from "../shared/feedback.js";
import { exactNumber, formatLights, formatNumber, formatPercent, plural } from "../shared/numbers.js";
import { drawCurves } from "./curves.js";
import { lagging } from "./hosts.js";

// The versions that a click adds to the table, and the most that one request returns.
const MORE = 100;
const MAX = 1000;

let state = { live: null, versions: [] };
let limit = MORE; // of the versions in the table
let described; // the version whose details are shown
const loaded = new Map(); // responses about versions by their path: a version never changes

function load(path) {
  if (!loaded.has(path)) loaded.set(path, callApi("GET", path));
  return loaded.get(path).catch((error) => {
    loaded.delete(path);
    throw error;
  });
}

// Load the newest versions, and older ones that the page shows: the live one, and those in the URL.
export async function loadVersions() {
  const { live, versions, next } = await callApi("GET", `versions?limit=${limit}`);
  byId("older").hidden = !next || limit >= MAX;
  const shown = new Set([live, Number(getParameter("version")), ...getNumbers("curves")]);
  const older = [...shown].filter((n) => next && n > 0 && n < next).sort((a, b) => b - a);
  const pages = await Promise.all(older.map((n) => callApi("GET", `versions?after=${n + 1}&limit=1`)));
  return { live, versions: versions.concat(pages.flatMap((page, i) => page.versions.filter(({ version }) => version === older[i]))) };
}

export function setUpVersions(reload) {
  byId("older").addEventListener("click", () => {
    limit = Math.min(limit + MORE, MAX);
    reload();
  });
  byId("download").addEventListener("click", (event) => {
    if (!keyIsNeededToRead()) return; // the browser reads it
    event.preventDefault();
    act(event.target, async (signal) => {
      const response = await fetchFrom(event.target.getAttribute("href"), signal);
      if (!response.ok) throw new Error((await response.json()).error);
      saveFile(`streetlight-${described}.npz`, await response.blob());
    });
  });
  const button = (id, run) => byId(id).addEventListener("click", ({ target }) => act(target, async (signal) => {
    const said = await run(signal);
    reload();
    return said;
  }));
  button("rollback", async (signal) => {
    const switched = await callApi("POST", "rollback", { curl: "versions", signal });
    return `Version ${switched.live} is live.${lagging(switched)}`;
  });
  button("promote", async (signal) => {
    const n = selected();
    const switched = await callApi("POST", `versions/${n}/promote`, { curl: "versions", signal });
    return `Version ${n} is live.${lagging(switched)}`;
  });
  button("verify", async (signal) => {
    const n = selected();
    const { identical, differs } = await callApi("POST", `versions/${n}/verify`, { curl: "versions", signal });
    return `Version ${n} was trained again${identical ? ": identical bit for bit." : ` and differs in ${differs.join(", ")}.`}`;
  });
}

const liveMark = () => element("span", {}, " ", element("span", { class: "dot live", "aria-hidden": true }, "●"), " live");
const isUsable = (row) => !row.damaged;
const rowOf = (n) => state.versions.find(({ version }) => version === n);

// The version whose details are shown: the one in the URL, or the newest.
function selected() {
  const n = Number(getParameter("version"));
  return rowOf(n) && isUsable(rowOf(n)) ? n : state.versions.find(isUsable)?.version;
}

const compared = () => getNumbers("curves").filter((n) => rowOf(n) && isUsable(rowOf(n)));

export async function showVersions(newState) {
  state = newState;
  const { live, versions } = state;
  const shown = selected();
  const checked = new Set(compared());
  byId("no-versions").hidden = versions.length > 0;
  byId("version-details").hidden = !shown;
  table(byId("version-table"), ["version", "curve", "trained on", "error", "accuracy", "ledger"], versions.map((row) => {
    const n = row.version;
    if (row.damaged) return { key: n, cells: [element("span", {}, String(n), n === live ? liveMark() : ""), "", `damaged: ${row.damaged}`, "", "", ""] };
    const choose = element("button", {
      type: "button", "aria-pressed": String(n === shown), "aria-label": `show version ${n}`, onclick: () => select("version", n),
    }, String(n));
    const curve = element("input", {
      type: "checkbox", checked: checked.has(n), "aria-label": `show the curve of version ${n}`,
      onchange: ({ target }) => select("curves", compared().filter((it) => it !== n).concat(target.checked ? n : [])),
    });
    return {
      key: n, kind: n === shown ? "now" : null, state: checked.has(n),
      cells: [
        element("span", {}, choose, n === live ? liveMark() : ""), curve,
        `${plural(row.rows, "row")}, ${row.dataset}`, formatNumber(row.error), formatPercent(row.accuracy),
        row.asked ? `${row.right} of ${row.asked} right` : "",
      ],
    };
  }));
  if (shown) await showDetails(rowOf(shown));
}

function select(name, value) {
  setParameter(name, String(value));
  return showSelected();
}

// Show what the user selected; an error is shown at the details.
export async function showSelected() {
  const said = saidOf(byId("promote"));
  say(said, "");
  await showVersions(state).catch((error) => say(said, messageOf(error), "error"));
}

async function showDetails(row) {
  const { version: n, recipe, parent } = row;
  if (n !== described) showCurl("versions", "GET", `versions/${n}`, undefined, { withKey: keyIsNeededToRead() });
  described = n;
  const isLive = n === state.live;
  byId("version-name").textContent = `Version ${n}${isLive ? ", live" : ""}${row.promoted_by ? `, promoted by ${row.promoted_by}` : ""}`;
  byId("promote").textContent = `Promote version ${n}`;
  hide(byId("promote"), isLive, byId("verify"));
  byId("verify").textContent = `Verify version ${n}`;
  byId("download").href = `versions/${n}/weights`;
  byId("version-recipe").textContent = `${recipe.hidden_sizes.length ? `hidden nodes ${recipe.hidden_sizes.join(", ")}, ${recipe.activation}` : "no hidden layer"}; `
    + `alpha ${exactNumber(recipe.alpha)}, passes ${recipe.iterations}, seed ${row.seed}`
    + `${recipe.weight_decay ? `, L2 ${exactNumber(recipe.weight_decay)}` : ""}${recipe.l1_penalty ? `, L1 ${exactNumber(recipe.l1_penalty)}` : ""}`
    + `${parent ? `; trained while version ${parent} was live` : ""}.`;
  const numbers = [...new Set([n, ...compared()])];
  const live = rowOf(state.live);
  const comparable = !isLive && live && isUsable(live) && live.lights === row.lights;
  const [difference, ...details] = await Promise.all([
    comparable ? load(`versions/${state.live}/diff/${n}`) : null,
    ...numbers.map((it) => load(`versions/${it}`)),
  ]);
  if (selected() !== n) return; // another version was selected meanwhile
  drawCurves(byId("version-curves"), details.map(({ version, errors }) => ({ name: `version ${version}`, points: errors })));
  showDifference(n, difference);
}

function showDifference(n, difference) {
  const changes = difference?.changes ?? [];
  byId("difference").textContent = !difference ? ""
    : difference.changed ? `Version ${n} decides ${plural(difference.changed, "light state")} otherwise than the live version ${state.live}:`
      : `Version ${n} decides every light state like the live version ${state.live}.`;
  byId("difference-table").hidden = !changes.length;
  table(byId("difference-table"), ["lights", `live (${state.live})`, `version ${n}`], changes.map((change) => ({
    cells: [formatLights(change.lights), decisionLabel(change.was), decisionLabel(change.now)],
  })));
}
