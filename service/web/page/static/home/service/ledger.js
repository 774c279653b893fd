// The ledger: the list of observations, and the controls to add and withdraw them.

import { attempt, callApi } from "../shared/api.js";
import { byId, decisionLabel, element, formatLights, table } from "../shared/dom.js";

const MAX_ROWS = 200;

export async function showLedger(onChange) {
  const { observations, total } = await callApi("GET", `observations?limit=${MAX_ROWS}`);
  const outcomes = new Map();
  for (const row of observations.filter((observation) => !observation.withdrawn)) {
    const key = formatLights(row.lights);
    outcomes.set(key, new Set([...(outcomes.get(key) ?? []), row.outcome]));
  }
  table(byId("ledger"), ["id", "lights", "outcome", "source", "prediction", "actions"], observations.map((row) => ({
    kind: row.withdrawn ? "gone" : null,
    cells: [
      String(row.id), formatLights(row.lights), decisionLabel(row.outcome), row.source, row.said ?? "",
      row.withdrawn ? "withdrawn" : element("span", {},
        outcomes.get(formatLights(row.lights)).size > 1 ? "contradicted " : "",
        element("button", {
          type: "button", "aria-label": `withdraw observation ${row.id}`,
          onclick: () => attempt(async () => {
            await callApi("DELETE", `observations/${row.id}`, { curl: "observe" });
            await onChange();
          }),
        }, "withdraw")),
    ],
  })));
  byId("ledger-part").textContent = total > MAX_ROWS ? `The table shows the first ${MAX_ROWS} of ${total} observations.` : "";
  return observations;
}

export function setUpObservationForm(currentLights, onChange) {
  const record = (outcome) => attempt(async () => {
    const body = { lights: currentLights(), outcome };
    const result = await callApi("POST", "observations", { body, curl: "observe" });
    const [row] = result.results;
    byId("observed").textContent = row.verdict === "contradicts"
      ? `Recorded as observation ${row.id}, which contradicts ${row.contradicts.join(", ")}.`
      : `Recorded as observation ${row.id}.`;
    await onChange();
  });
  byId("walked").addEventListener("click", () => record("walk"));
  byId("stopped").addEventListener("click", () => record("stop"));
  byId("csv").addEventListener("change", async ({ target }) => {
    await addFile(target.files[0], onChange);
    target.value = ""; // so that choosing the same file again is a change
  });
  byId("observe").addEventListener("dragover", (event) => event.preventDefault());
  byId("observe").addEventListener("drop", (event) => {
    event.preventDefault();
    addFile(event.dataTransfer.files[0], onChange);
  });
}

const addFile = (file, onChange) => file && attempt(async () => {
  const result = await callApi("POST", "observations", { body: file, type: "text/csv", curl: "observe" });
  byId("observed").textContent =
    `${file.name}: recorded ${result.recorded}, of which ${result.contradicting} contradict others.`;
  await onChange();
});
