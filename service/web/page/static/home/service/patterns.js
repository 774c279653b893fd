// All on/off patterns, with the decisions of the live version and of the newest other version.

import { callApi } from "../shared/api.js";
import { byId, decisionLabel, element, formatLights, formatNumber, table } from "../shared/dom.js";

const MAX_LIGHTS = 6;

export async function showPatterns({ live, versions, levels }, lights, setLights) {
  const count = lights.length;
  const target = byId("pattern-table");
  if (count > MAX_LIGHTS) {
    target.replaceChildren(element("caption", {}, `${count} lights have more patterns than this page lists.`));
    return;
  }
  const patterns = Array.from({ length: 2 ** count }, (_, i) =>
    Array.from({ length: count }, (_, bit) => levels[(i >> (count - 1 - bit)) & 1]));
  const other = versions.find((row) => row.version !== live && !row.damaged && row.lights === count)?.version;
  const [{ decisions, scores }, diff] = await Promise.all([
    callApi("POST", "predict/batch", { body: { lights: patterns }, curl: "patterns" }),
    other && callApi("GET", `versions/${other}/diff/${live}`),
  ]);
  const otherDecisions = new Map(diff?.changes.map((change) => [formatLights(change.lights), change.was]));
  table(target, ["lights", "decision", "score", other ? `version ${other}` : "other version"], patterns.map((pattern, i) => ({
    kind: formatLights(pattern) === formatLights(lights) ? "now" : null,
    cells: [
      element("button", { type: "button", onclick: () => setLights(pattern) }, formatLights(pattern)),
      decisionLabel(decisions[i]), formatNumber(scores[i]),
      otherDecisions.has(formatLights(pattern)) ? element("strong", {}, "≠ ", decisionLabel(otherDecisions.get(formatLights(pattern)))) : other ? "same" : "",
    ],
  })));
}
