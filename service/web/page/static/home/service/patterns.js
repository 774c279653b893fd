// All on/off patterns, with the decisions of the live version and those of another version.

import { callApi } from "../shared/api.js";
import { byId, decisionLabel, element, table } from "../shared/dom.js";
import { formatLights, formatNumber } from "../shared/numbers.js";
import { miniLights } from "./corner.js";

const MAX_LIGHTS = 6;

let loaded = null;

// Load the decisions for the versions in `state`.
export async function loadPatterns(state, count) {
  try {
    loaded = await load(state, count);
  } catch (error) {
    loaded = null;
    throw error;
  }
}

async function load({ live, versions, levels }, count) {
  if (count > MAX_LIGHTS || live === null) return null;
  const patterns = Array.from({ length: 2 ** count }, (_, i) =>
    Array.from({ length: count }, (_, bit) => levels[(i >> (count - 1 - bit)) & 1]));
  const other = versions.find((row) => row.version !== live && !row.damaged && row.lights === count)?.version;
  const [{ decisions, scores }, diff] = await Promise.all([
    callApi("POST", "predict/batch", { body: { lights: patterns }, curl: "patterns" }),
    other && callApi("GET", `versions/${other}/diff/${live}`),
  ]);
  const otherDecisions = new Map(diff?.changes.map((change) => [formatLights(change.lights), change.was]));
  return { patterns, decisions, scores, other, otherDecisions, levels };
}

// Show the loaded decisions, with the pattern `lights` marked.
export function showPatterns(lights, setLights) {
  const isLoaded = loaded?.patterns[0].length === lights.length;
  byId("patterns").hidden = !isLoaded;
  if (!isLoaded) return;
  const { patterns, decisions, scores, other, otherDecisions, levels } = loaded;
  const now = formatLights(lights);
  table(byId("pattern-table"), ["lights", "decision", "score", ...(other ? [`version ${other}`] : [])], patterns.map((pattern, i) => {
    const name = formatLights(pattern);
    const otherwise = otherDecisions.get(name);
    return {
      kind: name === now ? "now" : null,
      cells: [
        element("button", { type: "button", "aria-label": name, onclick: () => setLights(pattern) }, miniLights(pattern, levels)),
        decisionLabel(decisions[i]), formatNumber(scores[i]),
        ...(other ? [otherwise ? element("strong", {}, "≠ ", decisionLabel(otherwise)) : "same"] : []),
      ],
    };
  }));
}
