// Step by step: train a scratch network on one observation at a time. The server computes each step
// and stores nothing; this module holds the network.

import { attempt, callApi } from "../shared/api.js";
import { bindForm } from "../shared/address.js";
import { drawCurves } from "./curves.js";
import { byId, formatChange, formatLights, formatNumber, namedWeights, table } from "../shared/dom.js";
import { drawNetwork } from "./network.js";

let examples = [];
let scratch = {};
let lastStep = Promise.resolve();

// Run the actions one after the other, even if the buttons are pressed faster.
const enqueue = (action) => attempt(() => (lastStep = lastStep.catch(() => {}).then(action)));

export function setExamples(rows, count) {
  examples = rows.filter((row) => !row.withdrawn && row.lights.length === count);
  showNext();
}

function startOver() {
  scratch = { network: null, steps: 0, error: 0, errors: [] };
  for (const id of ["step-drawing", "step-table", "step-curve"]) byId(id).replaceChildren();
  byId("step-arithmetic").textContent = "";
  showNext();
}

const nextExample = () => examples[scratch.steps % examples.length];

function showNext() {
  const row = nextExample();
  byId("step-next").textContent = row
    ? `Next: example ${(scratch.steps % examples.length) + 1} of ${examples.length}, ${formatLights(row.lights)}, ${row.outcome}.`
    : "The ledger has no observations to learn from.";
  byId("step-one").disabled = byId("step-pass").disabled = !row;
}

// The fields of the first request that choose the start: a random network, or the live version.
function startFields(form) {
  const { start, seed, hidden } = Object.fromEntries(new FormData(form));
  return start === "seed" ? { seed: Number(seed), hidden_sizes: [Number(hidden)] } : {};
}

// Take one step; return false if the user started over while the request was running.
async function step() {
  const before = scratch;
  const form = byId("scratch");
  const { lights, outcome } = nextExample();
  const network = scratch.network ? { network: scratch.network } : startFields(form);
  const body = { lights, outcome, alpha: Number(form.elements.alpha.value), ...network };
  const result = await callApi("POST", "step", { body, curl: "step" });
  if (scratch !== before) return false;
  scratch.network = result.network;
  scratch.steps += 1;
  scratch.error += result.error;
  if (scratch.steps % examples.length === 0) {
    scratch.errors.push([scratch.errors.length + 1, scratch.error]);
    scratch.error = 0;
    drawCurves(byId("step-curve"), [{ name: "error of the pass", points: scratch.errors }]);
  }
  byId("stepped").textContent = `Step ${scratch.steps}: ${formatLights(lights)}, ${outcome}. `
    + `The score was ${formatNumber(result.score)}, now it is ${formatNumber(result.score_after)}.`;
  drawNetwork(result, "step-drawing", "step-arithmetic");
  const after = result.network.weights;
  table(byId("step-table"), ["weight", "before", "change", "after"], namedWeights(result.weights).map(({ name, at }) => ({
    kind: at(result.weight_deltas) ? "now" : null,
    cells: [name, formatNumber(at(result.weights)), formatChange(at(after) - at(result.weights)), formatNumber(at(after))],
  })));
  showNext();
  return true;
}

export function setUpStepForm() {
  const form = byId("scratch");
  bindForm(form);
  form.addEventListener("change", ({ target }) => target.name === "alpha" || startOver());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    enqueue(step);
  });
  byId("step-pass").addEventListener("click", () => enqueue(async () => {
    while (await step() && scratch.steps % examples.length);
  }));
  byId("step-again").addEventListener("click", () => {
    startOver();
    byId("stepped").textContent = "Started over.";
  });
  startOver();
}
