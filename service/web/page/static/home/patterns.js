// Every on/off pattern, decided by the live version and the one before it.

import { ask } from "./api.js";
import { byId, decided, element, number, spelled, table } from "./dom.js";

const MOST_LIGHTS = 6;

export async function showPatterns({ live, versions, levels }, lights, choose) {
  const count = lights.length;
  const target = byId("pattern-table");
  if (count > MOST_LIGHTS) {
    target.replaceChildren(element("caption", {}, `${count} lights have too many patterns to list.`));
    return;
  }
  const patterns = Array.from({ length: 2 ** count }, (_, i) =>
    Array.from({ length: count }, (_, bit) => levels[(i >> (count - 1 - bit)) & 1]));
  const other = versions.find((row) => row.version !== live && !row.damaged && row.lights === count)?.version;
  const [{ decisions, scores }, diff] = await Promise.all([
    ask("POST", "predict/batch", { body: { lights: patterns }, curl: "patterns" }),
    other && ask("GET", `versions/${other}/diff/${live}`),
  ]);
  const was = new Map(diff?.changes.map((change) => [spelled(change.lights), change.was]));
  table(target, ["lights", "decision", "score", other ? `version ${other}` : "before"], patterns.map((pattern, i) => ({
    kind: spelled(pattern) === spelled(lights) ? "now" : null,
    cells: [
      element("button", { type: "button", onclick: () => choose(pattern) }, spelled(pattern)),
      decided(decisions[i]), number(scores[i]),
      was.has(spelled(pattern)) ? element("strong", {}, "≠ ", decided(was.get(spelled(pattern)))) : other ? "same" : "",
    ],
  })));
}
