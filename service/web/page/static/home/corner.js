// The street corner: the lights to set, and the figure that walks or stops.

import { byId, element, number, shape } from "./dom.js";

export function showLamps(lights, [off, on], changed) {
  const lamps = lights.map((light, i) => {
    const name = `light ${i}`;
    const button = element("button", {
      type: "button",
      "aria-pressed": String(light > off),
      "aria-label": name,
      onclick: () => changed(i, light > off ? off : on),
    }, number(light));
    const slider = element("input", {
      type: "range", min: off, max: on, step: (on - off) / 20, value: light, "aria-label": `dim ${name}`,
      onchange: (event) => changed(i, Number(event.target.value)),
    });
    return element("div", { class: "lamp" }, button, slider);
  });
  const group = byId("lamps");
  const focused = [...group.querySelectorAll("button, input")].indexOf(document.activeElement);
  group.replaceChildren(...lamps);
  if (focused >= 0) group.querySelectorAll("button, input")[focused]?.focus();
}

export function showDecision(told) {
  const decision = byId("decision");
  decision.className = told.decision;
  decision.textContent = told.decision === "walk" ? "▶ Walk" : "■ Stop";
  byId("score").textContent = `score ${number(told.score)}, version ${told.version}`;
  const { flip } = told;
  byId("flip").textContent = flip
    ? `If light ${flip.light} were ${number(flip.now)} instead of ${number(flip.was)}, it would be: ${flip.decision}.`
    : "No single light would turn this.";
  drawFigure(told.decision);
}

function drawFigure(decision) {
  const figure = byId("figure");
  figure.setAttribute("class", decision);
  const line = { "stroke-width": 10, "stroke-linecap": "round", fill: "none" };
  const limbs = decision === "walk"
    ? ["M60 55 L56 95", "M58 62 L36 84", "M58 62 L84 78"]
    : ["M60 55 L60 95", "M60 62 L46 92", "M60 62 L74 92"];
  const legs = decision === "walk"
    ? ["M56 95 L38 122 L28 150", "M56 95 L76 118 L88 148"]
    : ["M60 95 L52 150", "M60 95 L68 150"];
  figure.replaceChildren(
    shape("circle", { cx: 60, cy: 30, r: 14, fill: "currentColor" }),
    ...limbs.map((d) => shape("path", { d, ...line })),
    ...legs.map((d) => shape("path", { d, ...line, class: "leg" })),
  );
}
