// The row that the drawing shows: its lamps and its outcome, and the buttons that choose another row.

import { element, svgElement } from "../shared/dom.js";
import { formatNumber } from "../shared/numbers.js";
import { outcomeName } from "./names.js";

export function createShownRow(stage, container) {
  const lamps = element("span", { "aria-hidden": "true" });
  const text = element("span");
  const button = (name, symbol, step) => element("button", {
    type: "button", "aria-label": name, title: name,
    onclick: () => {
      stage.pause();
      const { length } = stage.experiment.inputs;
      stage.setRow((stage.row + step + length) % length);
    },
  }, symbol);
  container.replaceChildren(button("previous row", "◀", -1), button("next row", "▶", 1), lamps, text);
  let shown = "";

  stage.subscribe(() => {
    const { experiment, setup, row } = stage;
    const lights = setup.lights[row];
    const name = `row ${row + 1} of ${setup.lights.length}: ${lights.map(formatNumber).join(" ")} → ${outcomeName(experiment.outcomes[row])}`;
    if (name === shown) return;
    shown = name;
    text.textContent = name;
    lamps.replaceChildren(drawLamps(experiment.inputs[row]));
  });
}

function drawLamps(inputs) {
  const circles = inputs.map((light, i) => svgElement("circle", {
    cx: 10 + 20 * i, cy: 10, r: 8, class: "lamp-shape", "fill-opacity": Math.min(1, Math.abs(light)),
  }));
  return svgElement("svg", { width: 20 * inputs.length, height: 20 }, ...circles);
}
