// The start weights: random by the seed, or by hand in one field for each weight.

import { element } from "../shared/dom.js";
import { exactNumber } from "../shared/numbers.js";
import { numberFrom, textField } from "./fields.js";

// More weights are not edited by hand.
const MAX_FIELDS = 100;

// `setStart` takes null for random weights, or the weights written by hand.
export function createStartWeights(stage, setStart) {
  const random = element("input", { type: "radio", name: "start", value: "random" });
  const byHand = element("input", { type: "radio", name: "start", value: "by hand" });
  const tables = element("div", { class: "start-weights" });
  const box = element("fieldset", {}, element("legend", {}, "start weights"),
    element("label", {}, random, " random, by the seed"), element("label", {}, byHand, " by hand"), tables);
  const inputs = () => [...tables.querySelectorAll("input")];

  box.addEventListener("change", (event) => {
    event.stopPropagation(); // the form reads its other fields
    const { start } = stage.experiment;
    if (event.target === random) return setStart(null);
    if (event.target === byHand) return setStart(start);
    const written = inputs().map(({ value }) => numberFrom(value));
    return setStart(start.map((matrix) => matrix.map((row) => row.map(() => written.shift()))));
  });

  let shown;
  stage.subscribe(() => {
    const { setup, experiment: { start } } = stage;
    if (setup === shown) return;
    shown = setup;
    const weights = start.flat(2);
    byHand.disabled = weights.length > MAX_FIELDS;
    (setup.start ? byHand : random).checked = true;
    tables.hidden = !setup.start || byHand.disabled;
    if (tables.hidden) return;
    const sizes = JSON.stringify(start.map((matrix) => [matrix.length, matrix[0].length]));
    if (tables.dataset.sizes !== sizes) tables.replaceChildren(...start.map(matrixTable));
    tables.dataset.sizes = sizes;
    inputs().forEach((input, i) => { input.value = Math.abs(weights[i]) < 1 ? exactNumber(weights[i]) : weights[i]; });
  });
  return box;
}

function matrixTable(matrix, d) {
  const name = `weights_${d}_${d + 1}`;
  const cells = matrix.map((row, i) => element("tr", {}, ...row.map((_, j) =>
    element("td", {}, textField("start", { size: 6, "aria-label": `${name}[${i}][${j}]` })))));
  return element("table", {}, element("caption", {}, `${name}: a row for each node of layer_${d}`), element("tbody", {}, ...cells));
}
