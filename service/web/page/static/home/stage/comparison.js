// The networks that a station compares, side by side after the same number of passes: weights, error,
// and how many rows are right. A button brings the recipe of one to the stage.

import { forward, isWalk } from "../learning/network.js";
import { element, svgElement } from "../shared/dom.js";
import { formatNumber } from "../shared/numbers.js";
import { labelOf, outcomeName, weightName } from "./names.js";

const BAR = { width: 120, height: 14 };
// The weight whose bar fills its half.
const FULL_WEIGHT = 1.5;

export function createComparison(stage, container) {
  let built = null;
  let cards = [];

  stage.subscribe(() => {
    if (!stage.others.length) {
      if (built) container.replaceChildren();
      built = null;
      return;
    }
    if (built !== stage.others) {
      built = stage.others;
      cards = [{ label: labelOf(stage.setup), experiment: stage.experiment }, ...stage.others].map((each, i) => createCard(stage, each, i - 1));
      container.replaceChildren(element("h3", {}, "Side by side, after the same number of passes"),
        element("div", { class: "comparison" }, ...cards.map(({ card }) => card)));
    }
    for (const card of cards) card.draw();
  });
}

function createCard(stage, { label, experiment }, index) {
  const text = element("p", { class: "small" });
  const bars = experiment.weights.flatMap((matrix, d) => matrix.flatMap((row, i) => row.map((_, j) => createBar(d, i, j))));
  const choose = index < 0 ? element("p", { class: "small soft" }, "This one is on the stage.")
    : element("button", { type: "button", onclick: () => stage.change(swapped(stage, index)) }, `Show ${label} on the stage`);
  const card = element("article", { class: `card series-${(index + 1) % 4}` }, element("h4", {}, label), text,
    element("table", {}, element("tbody", {}, ...bars.map(({ row }) => row))), choose);
  let drawn = null;

  // The stage's own network can be in the middle of a pass; the card shows the weights at its start.
  function draw() {
    const weights = experiment.weightsOfPass;
    if (weights === drawn) return;
    drawn = weights;
    const passes = experiment.errors.length;
    const right = experiment.inputs.filter((input, row) =>
      outcomeName(isWalk(forward(weights, input, experiment.setup.activation).at(-1)[0])) === outcomeName(experiment.outcomes[row])).length;
    const error = passes ? `error ${formatNumber(experiment.errors.at(-1))}` : "no error yet";
    text.textContent = experiment.diverged ?? `pass ${passes}: ${error}, ${right} of ${experiment.inputs.length} rows right`;
    for (const bar of bars) bar.draw(weights);
  }

  return { card, draw };
}

function createBar(d, i, j) {
  const middle = BAR.width / 2;
  const bar = svgElement("rect", { height: BAR.height });
  const number = element("td", { class: "number" });
  const row = element("tr", {}, element("th", { scope: "row" }, weightName(d, i, j)), element("td", {},
    svgElement("svg", { viewBox: `0 0 ${BAR.width} ${BAR.height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, bar,
      svgElement("line", { x1: middle, x2: middle, y2: BAR.height }))), number);

  function draw(weights) {
    const weight = weights[d][i][j];
    const size = middle * Math.min(1, Math.abs(weight) / FULL_WEIGHT);
    bar.setAttribute("x", weight < 0 ? middle - size : middle);
    bar.setAttribute("width", size);
    bar.setAttribute("class", weight < 0 ? "negative" : "positive");
    number.textContent = formatNumber(weight);
  }

  return { row, draw };
}

// Return the setup in which the network of `compare[index]` and the one on the stage change places.
function swapped(stage, index) {
  const { setup } = stage;
  const fields = [...new Set(setup.compare.flatMap(Object.keys))];
  const own = Object.fromEntries(fields.map((name) => [name, setup[name]]));
  const compare = setup.compare.map((other, i) => (i === index ? own : { ...own, ...other }));
  return { ...own, ...setup.compare[index], compare };
}
