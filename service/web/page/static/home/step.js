// Step mode: a network of the page's own learns from one example at a time. What it learns is
// computed by the server, which keeps nothing of it.

import { ask, attempt } from "./api.js";
import { keepForm } from "./address.js";
import { drawCurves } from "./curves.js";
import { arrow, byId, number, spelled, table, weightsOf } from "./dom.js";
import { drawNetwork } from "./network.js";

let examples = [];
let scratch = {};
let lastTurn = Promise.resolve();

// One step after the other, however fast the buttons are pressed.
const inTurn = (action) => attempt(() => (lastTurn = lastTurn.catch(() => {}).then(action)));

export function learnFrom(rows, count) {
  examples = rows.filter((row) => !row.withdrawn && row.lights.length === count);
  showNext();
}

function beginAgain() {
  scratch = { network: null, taken: 0, error: 0, errors: [] };
  for (const id of ["step-drawing", "step-table", "step-curve"]) byId(id).replaceChildren();
  byId("step-arithmetic").textContent = "";
  showNext();
}

const next = () => examples[scratch.taken % examples.length];

function showNext() {
  const row = next();
  byId("step-next").textContent = row
    ? `Next: example ${(scratch.taken % examples.length) + 1} of ${examples.length}, ${spelled(row.lights)}, ${row.outcome}.`
    : "There is nothing in the ledger to learn from.";
  byId("step-one").disabled = byId("step-pass").disabled = !row;
}

function begin(form) {
  const { start, seed, hidden } = Object.fromEntries(new FormData(form));
  return start === "seed" ? { seed: Number(seed), hidden_sizes: [Number(hidden)] } : {};
}

// Take a step; false where all was begun again meanwhile.
async function step() {
  const mine = scratch;
  const form = byId("scratch");
  const { lights, outcome } = next();
  const from = scratch.network ? { network: scratch.network } : begin(form);
  const body = { lights, outcome, alpha: Number(form.elements.alpha.value), ...from };
  const told = await ask("POST", "step", { body, curl: "step" });
  if (scratch !== mine) return false;
  scratch.network = told.network;
  scratch.taken += 1;
  scratch.error += told.error;
  if (scratch.taken % examples.length === 0) {
    scratch.errors.push([scratch.errors.length + 1, scratch.error]);
    scratch.error = 0;
    drawCurves(byId("step-curve"), [{ name: "error of a pass", points: scratch.errors }]);
  }
  byId("stepped").textContent = `Step ${scratch.taken}: ${spelled(lights)}, ${outcome}. `
    + `The score was ${number(told.score)}, now it is ${number(told.score_after)}.`;
  drawNetwork(told, "step-drawing", "step-arithmetic");
  table(byId("step-table"), ["weight", "was", "moved by", "is"], weightsOf(told.weights).map(({ name, at }) => ({
    kind: at(told.weight_deltas) ? "now" : null,
    cells: [name, number(at(told.weights)), arrow(at(told.network.weights) - at(told.weights)), number(at(told.network.weights))],
  })));
  showNext();
  return true;
}

export function listenToSteps() {
  const form = byId("scratch");
  keepForm(form);
  form.addEventListener("change", ({ target }) => target.name === "alpha" || beginAgain());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    inTurn(step);
  });
  byId("step-pass").addEventListener("click", () => inTurn(async () => {
    while (await step() && scratch.taken % examples.length);
  }));
  byId("step-again").addEventListener("click", () => {
    beginAgain();
    byId("stepped").textContent = "Begun again.";
  });
  beginAgain();
}
