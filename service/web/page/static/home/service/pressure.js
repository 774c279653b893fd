// The lab's weight-pressure table: how the training rows of the live version push its weights.

import { attempt, callApi } from "../shared/api.js";
import { getParameter, setParameter } from "../shared/address.js";
import { byId, element, formatChange, formatLights, namedWeights, table } from "../shared/dom.js";

const MAX_ROWS = 200;
// Numbers in the response, of which the server returns a bounded size: one per row and weight.
const MAX_NUMBERS = 1e6;

// `live` is the live version as GET /versions lists it.
export async function showPressure(live) {
  const sizes = live?.recipe ? [live.lights, ...live.recipe.hidden_sizes, 1] : [];
  const weightCount = sizes.slice(1).reduce((count, size, d) => count + sizes[d] * size, 0);
  const limit = Math.min(MAX_ROWS, Math.floor(MAX_NUMBERS / weightCount));
  const { rows, total_rows: total, up, down, sum } =
    await callApi("GET", `versions/${live?.version}/pressure?limit=${limit}`, { curl: "pressure" });
  const chooser = byId("pressure-row");
  const chosen = rows[getParameter("row") || -1] ? getParameter("row") : "";
  chooser.replaceChildren(
    element("option", { value: "" }, `all ${total} rows`),
    ...rows.map((row, i) => element("option", { value: i, selected: String(i) === chosen },
      `row ${i}: ${formatLights(row.lights)}, ${row.outcome > 0.501 ? "walk" : "stop"}`)),
  );
  chooser.onchange = () => {
    setParameter("row", chooser.value);
    attempt(() => showPressure(live));
  };
  const row = chosen === "" ? null : rows[chosen];
  const weights = namedWeights(sum);
  const pushed = weights.filter(({ at }) => at(up) || at(down));
  table(byId("pressure-table"), ["weight", ...(row ? [`row ${chosen}`] : []), "up", "down", "sum"],
    pushed.map(({ name, at }) => ({
      cells: [name, ...(row ? [formatChange(at(row.pressure))] : []), ...[up, down, sum].map((pressure) => formatChange(at(pressure)))],
    })));
  byId("weights-without-pressure").textContent = weights.length === pushed.length ? `All ${weights.length} weights have pressure.`
    : `${weights.length - pushed.length} of ${weights.length} weights have no pressure: in every row, their input or their node is off, or the error is 0.`;
}
