// The two-layer network that equals the linear network of the stage, and that its scores are the same.

import { collapse } from "../learning/collapse.js";
import { forward } from "../learning/network.js";
import { decisionLabel, element } from "../shared/dom.js";
import { lightNames } from "../shared/light_names.js";
import { formatNumber } from "../shared/numbers.js";
import { drawWhenVisible } from "./drawn_when_visible.js";
import { setText } from "./fields.js";
import { outcomeName } from "./names.js";

const MAX_ROWS = 12;

export function createEquivalent(stage, container) {
  const product = element("p", { class: "small" });
  const weights = element("table", { class: "collapsed" });
  const scores = element("table");
  const difference = element("p");
  container.append(
    element("h3", {}, "The two-layer network that is equal to it"), product,
    element("div", { class: "side-by-side" }, weights, element("div", { class: "scroll", role: "group", tabindex: 0, "aria-label": "The scores of both networks" }, scores)),
    difference);

  let shown; // the rows in the tables
  function build({ lights, outcomes }) {
    shown = lights;
    const row = (...title) => element("tr", {}, element("th", { scope: "row" }, ...title));
    weights.replaceChildren(element("caption", {}, "its weights_0_1"), element("tbody", {}, ...lightNames(lights[0].length).map((name) => {
      const line = row(name);
      line.append(element("td", {}, element("i"), element("span")));
      return line;
    })));
    const names = ["row", "score of this network", "score of the two-layer network"];
    scores.replaceChildren(
      element("thead", {}, element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)))),
      element("tbody", {}, ...lights.slice(0, MAX_ROWS).map((light, i) => {
        const line = row(`${light.map(formatNumber).join(" ")} `, decisionLabel(outcomeName(outcomes[i])));
        line.append(element("td"), element("td"));
        return line;
      })));
  }

  function draw() {
    const { setup, experiment: { inputs } } = stage;
    if (setup.lights !== shown) build(setup);
    const network = collapse(stage.weights);
    setText(product, `Without relu, ${stage.weights.map((_, d) => `weights_${d}_${d + 1}`).join(" × ")} is one matrix: a weighted sum of weighted sums is one weighted sum.`);
    const largest = Math.max(...network[0].map(([weight]) => Math.abs(weight))) || 1;
    network[0].forEach(([weight], i) => {
      const cell = weights.tBodies[0].rows[i].cells[1];
      cell.className = weight < 0 ? "down" : "up";
      cell.firstChild.style.width = `${((70 * Math.abs(weight)) / largest).toFixed(1)}%`;
      setText(cell.lastChild, formatNumber(weight));
    });
    const scoreOf = (of, layer0) => forward(of, layer0, "linear").at(-1)[0];
    const pairs = inputs.map((layer0) => [scoreOf(stage.weights, layer0), scoreOf(network, layer0)]);
    [...scores.tBodies[0].rows].forEach((row, i) => pairs[i].forEach((score, c) => setText(row.cells[c + 1], formatNumber(score))));
    const most = Math.max(...pairs.map(([score, other]) => Math.abs(score - other)));
    setText(difference, `The largest difference of the scores of ${inputs.length === 1 ? "the row" : `all ${inputs.length} rows`} is ${formatNumber(most)}${most ? ", by rounding" : ""}.`);
  }

  // It exists for linear networks with hidden layers only.
  stage.subscribe(({ setup }) => {
    container.hidden = setup.activation !== "linear" || !setup.hiddenSizes.length;
  });
  drawWhenVisible(stage, container, draw);
}
