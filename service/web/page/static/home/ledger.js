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
  byId("ledger-part").textContent = total > SHOWN ? `The first ${SHOWN} of ${total} rows.` : "";
  return observations;
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
  byId("csv").addEventListener("change", async ({ target }) => {
    await readFile(target.files[0], changed);
    target.value = ""; // the same file may be chosen again
  });
  byId("observe").addEventListener("dragover", (event) => event.preventDefault());
  byId("observe").addEventListener("drop", (event) => {
    event.preventDefault();
    readFile(event.dataTransfer.files[0], changed);
  });
}

const readFile = (file, changed) => file && attempt(async () => {
  const told = await ask("POST", "observations", { body: file, type: "text/csv", curl: "observe" });
  byId("observed").textContent =
    `${told.recorded} rows of ${file.name} recorded; ${told.contradicting} contradict others.`;
  await changed();
});
