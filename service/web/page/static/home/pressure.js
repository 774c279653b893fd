// Weight pressure, the lab's table: how the rows that the live version learnt from pull its weights.

import { ask, attempt } from "./api.js";
import { inAddress, putInAddress } from "./address.js";
import { arrow, byId, element, spelled, table, weightsOf } from "./dom.js";

const SHOWN = 200;

export async function showPressure(live) {
  const { rows, total_rows: total, up, down, sum } =
    await ask("GET", `versions/${live}/pressure?limit=${SHOWN}`, { curl: "pressure" });
  const chooser = byId("pressure-row");
  const chosen = rows[inAddress("row") || -1] ? inAddress("row") : "";
  chooser.replaceChildren(
    element("option", { value: "" }, `all ${total} rows`),
    ...rows.map((row, i) => element("option", { value: i, selected: String(i) === chosen },
      `row ${i}: ${spelled(row.lights)}, ${row.outcome >= 0.5 ? "walk" : "stop"}`)),
  );
  chooser.onchange = () => {
    putInAddress("row", chooser.value);
    attempt(() => showPressure(live));
  };
  const row = chosen === "" ? null : rows[chosen];
  const names = weightsOf(sum);
  const pulled = names.filter(({ at }) => at(up) || at(down));
  table(byId("pressure-table"), ["weight", ...(row ? [`row ${chosen}`] : []), "up", "down", "what is left"],
    pulled.map(({ name, at }) => ({
      cells: [name, ...(row ? [arrow(at(row.pressure))] : []), ...[up, down, sum].map((pull) => arrow(at(pull)))],
    })));
  byId("unpulled").textContent = names.length === pulled.length ? `All ${names.length} weights are pulled.`
    : `${names.length - pulled.length} of ${names.length} weights are not pulled at all: relu turns their nodes off.`;
}
