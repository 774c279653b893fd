// Versions: which one is live, what each decides, and how the live one is pulled.

import { ask, attempt } from "./api.js";
import { byId, decided, element, number, spelled, table } from "./dom.js";

const MOST_LIGHTS = 6;

export function showVersions({ live, versions }, changed) {
  const act = (method, path, told) => attempt(async () => {
    const answer = await ask(method, path, { curl: "versions" });
    byId("switched").textContent = told(answer);
    await changed();
  });
  byId("rollback").onclick = () => act("POST", "rollback", (answer) => `Version ${answer.live} is live.`);
  table(byId("version-table"), ["version", "learnt from", "error", "accuracy", "what to do"], versions.map((row) => {
    const n = row.version;
    const name = n === live ? `★ ${n} (live)` : String(n);
    if (row.damaged) return { cells: [name, row.damaged, "", "", ""] };
    const buttons = element("span", {},
      n === live ? "" : element("button", {
        type: "button", "aria-label": `promote version ${n}`,
        onclick: () => act("POST", `versions/${n}/promote`, () => `Version ${n} is live.`),
      }, "promote"), " ",
      element("button", {
        type: "button", "aria-label": `verify version ${n}`,
        onclick: () => act("POST", `versions/${n}/verify`, (answer) =>
          answer.identical ? `Version ${n}: trained again, identical bit for bit.` : `Version ${n} differs: ${answer.differs.join(", ")}.`),
      }, "verify"), " ",
      element("a", { href: `versions/${n}/weights`, download: true }, ".npz"));
    return {
      kind: n === live ? "now" : null,
      cells: [name, `${row.rows} rows, ${row.dataset}`, number(row.error), `${number(100 * row.accuracy)} %`, buttons],
    };
  }));
}

// Every on/off pattern, decided by the live version and the one before it.
export async function showPatterns({ live, versions }, lights, choose) {
  const count = lights.length;
  const target = byId("pattern-table");
  if (count > MOST_LIGHTS) {
    target.replaceChildren(element("caption", {}, `${count} lights have too many patterns to list.`));
    return;
  }
  const patterns = Array.from({ length: 2 ** count }, (_, i) =>
    Array.from({ length: count }, (_, bit) => (i >> (count - 1 - bit)) & 1));
  const { decisions, scores } = await ask("POST", "predict/batch", { body: { lights: patterns } });
  const other = versions.map((row) => row.version).find((n) => n !== live);
  const changes = new Map();
  if (other) {
    const diff = await ask("GET", `versions/${other}/diff/${live}`);
    for (const change of diff.changes) changes.set(spelled(change.lights), change.was);
  }
  table(target, ["lights", "decision", "score", other ? `version ${other}` : "before"], patterns.map((pattern, i) => ({
    kind: spelled(pattern) === spelled(lights) ? "now" : null,
    cells: [
      element("button", { type: "button", onclick: () => choose(pattern) }, spelled(pattern)),
      decided(decisions[i]), number(scores[i]),
      changes.has(spelled(pattern)) ? element("strong", {}, "≠ ", decided(changes.get(spelled(pattern)))) : other ? "same" : "",
    ],
  })));
}

export async function showPressure(live) {
  const { up, down, sum } = await ask("GET", `versions/${live}/pressure?limit=0`);
  const arrow = (value) => `${value > 0 ? "↑" : value < 0 ? "↓" : "·"} ${number(Math.abs(value))}`;
  const all = Object.keys(sum).flatMap((name) => sum[name].flatMap((row, i) => row.map((value, j) =>
    [`${name}[${i}][${j}]`, up[name][i][j], down[name][i][j], value])));
  const pulled = all.filter(([, ups, downs]) => ups || downs);
  table(byId("pressure-table"), ["weight", "up", "down", "what is left"], pulled.map(([name, ...pulls]) =>
    ({ cells: [name, ...pulls.map(arrow)] })));
  byId("unpulled").textContent = `${all.length - pulled.length} of ${all.length} weights are not pulled at all: relu turns their nodes off.`;
}
