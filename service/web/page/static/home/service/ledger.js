// The ledger: the newest observations, and the controls to add and withdraw them.

import { callApi } from "../shared/api.js";
import { byId, decisionLabel, element, table } from "../shared/dom.js";
import { act } from "../shared/feedback.js";
import { formatLights, plural } from "../shared/numbers.js";
import { miniLights } from "./corner.js";

const MAX_ROWS = 100;

// Show the newest rows; `latest` is the id of the newest, if it is known. Return what the event
// `observations` would say of the shown rows.
export async function showLedger(latest, levels, reload) {
  const newest = latest ?? (await callApi("GET", "observations?limit=1")).total;
  const page = await callApi("GET", `observations?limit=1000&after=${Math.max(0, newest - MAX_ROWS)}`);
  const rows = page.observations.slice(-MAX_ROWS).reverse();
  byId("ledger").hidden = !rows.length;
  byId("ledger-part").textContent = rows.length
    ? `${plural(page.total, "observation")}${page.total > rows.length ? `, the newest ${rows.length} here` : ""}.`
    : "No observations yet: set the lights at the corner and say what people did, or add a CSV file.";
  const outcomes = new Map();
  for (const row of rows.filter((observation) => !observation.withdrawn)) {
    const key = formatLights(row.lights);
    outcomes.set(key, new Set([...(outcomes.get(key) ?? []), row.outcome]));
  }
  const isContradicted = (row) => !row.withdrawn && outcomes.get(formatLights(row.lights)).size > 1;
  table(byId("ledger"), ["id", "lights", "people", "predicted", "source", ""], rows.map((row) => ({
    key: row.id,
    kind: row.withdrawn ? "gone" : null,
    state: levels.join(),
    cells: [
      String(row.id), miniLights(row.lights, levels),
      element("span", {}, decisionLabel(row.outcome), isContradicted(row) ? element("span", { class: "soft" }, " contradicted") : ""),
      row.said ? decisionLabel(row.said) : "", row.source,
      row.withdrawn ? "withdrawn" : element("button", {
        type: "button", "aria-label": `withdraw observation ${row.id}`,
        onclick: ({ target }) => act(target, async (signal) => {
          await callApi("DELETE", `observations/${row.id}`, { curl: "observe", signal });
          await reload();
        }),
      }, "withdraw"),
    ],
  })));
  return { total: page.total, latest: rows[0]?.id ?? 0 };
}

export function setUpObservationForm(currentLights, reload) {
  const record = (button, outcome) => act(button, async (signal) => {
    const body = { lights: currentLights(), outcome };
    const { results: [row] } = await callApi("POST", "observations", { body, curl: "observe", signal });
    reload();
    return row.verdict === "contradicts"
      ? `Recorded as observation ${row.id}, which contradicts ${row.contradicts.join(", ")}.`
      : `Recorded as observation ${row.id}.`;
  });
  byId("walked").addEventListener("click", ({ target }) => record(target, "walk"));
  byId("stopped").addEventListener("click", ({ target }) => record(target, "stop"));
  const input = byId("csv");
  input.addEventListener("change", async () => {
    await addFile(input, input.files[0], reload);
    input.value = ""; // so that choosing the same file again is a change
  });
  const card = byId("observe");
  card.addEventListener("dragover", (event) => event.preventDefault());
  card.addEventListener("drop", (event) => {
    event.preventDefault();
    addFile(input, event.dataTransfer.files[0], reload);
  });
}

const addFile = (input, file, reload) => file && act(input, async (signal) => {
  const result = await callApi("POST", "observations", { body: file, type: "text/csv", curl: "observe", signal });
  reload();
  return `${file.name}: recorded ${result.recorded}, of which ${result.contradicting} contradict others.`;
});
