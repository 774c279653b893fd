// The street corner: the lights, which can be set, and a figure that shows the decision.

import { byId, element, formatNumber, svgElement } from "../shared/dom.js";

export function showLights(lights, [off, on], onChange) {
  const controls = lights.map((light, i) => {
    const name = `light ${i}`;
    const button = element("button", {
      type: "button",
      "aria-pressed": String(light > off),
      "aria-label": name,
      onclick: () => onChange(i, light > off ? off : on),
    }, formatNumber(light));
    const slider = element("input", {
      type: "range", min: off, max: on, step: (on - off) / 20, value: light, "aria-label": `brightness of ${name}`,
      onchange: (event) => onChange(i, Number(event.target.value)),
    });
    return element("div", { class: "lamp" }, button, slider);
  });
  const group = byId("lamps");
  const focused = [...group.querySelectorAll("button, input")].indexOf(document.activeElement);
  group.replaceChildren(...controls);
  if (focused >= 0) group.querySelectorAll("button, input")[focused]?.focus();
}

// `explanation` is the response of POST /explain.
export function showDecision(explanation) {
  const decision = byId("decision");
  decision.className = explanation.decision;
  decision.textContent = explanation.decision === "walk" ? "▶ Walk" : "■ Stop";
  byId("score").textContent = `score ${formatNumber(explanation.score)}, version ${explanation.version}`;
  const { flip } = explanation;
  byId("flip").textContent = flip
    ? `If light ${flip.light} were ${formatNumber(flip.now)} instead of ${formatNumber(flip.was)}, the decision would be ${flip.decision}.`
    : "Switching any one light wouldn't change the decision.";
  drawFigure(explanation.decision);
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
    svgElement("circle", { cx: 60, cy: 30, r: 14, fill: "currentColor" }),
    ...limbs.map((d) => svgElement("path", { d, ...line })),
    ...legs.map((d) => svgElement("path", { d, ...line, class: "leg" })),
  );
}
