// The ledger: what people did, row by row; to add to it, and to take back.

import { ask, attempt } from "./api.js";
import { byId, decided, element, spelled, table } from "./dom.js";

const SHOWN = 200;

export async function showLedger(changed) {
  const { observations, total } = await ask("GET", `observations?limit=${SHOWN}`);
  const outcomes = new Map();
  for (const row of observations.filter((each) => !each.withdrawn)) {
    const key = spelled(row.lights);
    outcomes.set(key, new Set([...(outcomes.get(key) ?? []), row.outcome]));
  }
  table(byId("ledger"), ["id", "lights", "outcome", "source", "it said", "take back"], observations.map((row) => ({
    kind: row.withdrawn ? "gone" : null,
    cells: [
      String(row.id), spelled(row.lights), decided(row.outcome), row.source, row.said ?? "",
      row.withdrawn ? "withdrawn" : element("span", {},
        outcomes.get(spelled(row.lights)).size > 1 ? "contradicted " : "",
        element("button", {
          type: "button", "aria-label": `withdraw observation ${row.id}`,
          onclick: () => attempt(async () => {
            await ask("DELETE", `observations/${row.id}`, { curl: "observe" });
            await changed();
          }),
        }, "withdraw")),
    ],
  })));
  if (total > SHOWN) byId("observed").textContent = `The first ${SHOWN} of ${total} rows.`;
}

export function listenToObservers(currentLights, changed) {
  const record = (outcome) => attempt(async () => {
    const body = { lights: currentLights(), outcome };
    const told = await ask("POST", "observations", { body, curl: "observe" });
    const [row] = told.results;
    byId("observed").textContent = row.verdict === "contradicts"
      ? `Recorded as ${row.id}; it contradicts ${row.contradicts.join(", ")}.`
      : `Recorded as ${row.id}.`;
    await changed();
  });
  byId("walked").addEventListener("click", () => record("walk"));
  byId("stopped").addEventListener("click", () => record("stop"));
  byId("csv").addEventListener("change", (event) => readFile(event.target.files[0], changed));
  byId("observe").addEventListener("dragover", (event) => event.preventDefault());
  byId("observe").addEventListener("drop", (event) => {
    event.preventDefault();
    readFile(event.dataTransfer.files[0], changed);
  });
}

const readFile = (file, changed) => file && attempt(async () => {
  const [, ...lines] = (await file.text()).trim().split(/\r?\n/);
  const observations = lines.map((line) => {
    const cells = line.split(",");
    return { lights: cells.slice(0, -1).map(Number), outcome: cells.at(-1).trim() };
  });
  const told = await ask("POST", "observations", { body: { observations } });
  const bad = told.results.find((row) => row.verdict === "rejected");
  byId("observed").textContent = `${told.recorded} of ${observations.length} rows recorded${bad ? `; ${bad.error}` : ""}.`;
  await changed();
});
