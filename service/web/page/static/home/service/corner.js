// The street corner: the lights, which can be set, and what the live version decides and why.

import { byId, element, svgElement } from "../shared/dom.js";
import { lightName, lightPhrase } from "../shared/light_names.js";
import { formatLights, formatNumber } from "../shared/numbers.js";

const levelOf = (light, [off, on]) => Math.max(0, Math.min(1, (light - off) / (on - off)));

// Show the lights; the controls are made again only if their number or range changes, so that a
// slider can be dragged. `onChange(i, value)` is called while it is dragged.
export function showLights(lights, levels, onChange) {
  const [off, on] = levels;
  const group = byId("lamps");
  if (group.dataset.range !== `${lights.length},${levels}`) {
    group.dataset.range = `${lights.length},${levels}`;
    group.replaceChildren(...lights.map((_, i) => lamp(i, lights.length, levels, onChange)));
  }
  lights.forEach((light, i) => {
    const [button, slider] = group.children[i].children;
    const level = levelOf(light, levels);
    button.style.setProperty("--level", level);
    button.textContent = formatNumber(light);
    button.ariaPressed = String(light > off);
    button.onclick = () => onChange(i, light > off ? off : on);
    if (Number(slider.value) !== light) slider.value = light;
  });
}

function lamp(i, count, [off, on], onChange) {
  return element("div", { class: "lamp" },
    element("button", { type: "button", "aria-label": lightPhrase(i, count) }),
    element("input", {
      type: "range", min: off, max: on, step: "any", "aria-label": `brightness of ${lightPhrase(i, count, "the ")}`,
      oninput: ({ target }) => onChange(i, round(Number(target.value), on - off)),
      onkeydown: (event) => {
        const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
        if (!steps) return;
        event.preventDefault();
        const value = Number(event.target.value) + (steps * (on - off)) / 20;
        onChange(i, round(Math.max(off, Math.min(on, value)), on - off));
      },
    }),
    element("span", { class: "soft small", "aria-hidden": true }, lightName(i, count)));
}

// Round a value of a slider to a hundredth of its range.
const round = (value, range) => Number((Math.round((100 * value) / range) * (range / 100)).toPrecision(6));

// `explanation` is the response of POST /explain; `setLight(i, value)` sets one light.
export function showDecision(explanation, setLight) {
  const { decision, score, version, contributions, flip } = explanation;
  const count = contributions.length;
  byId("decision").className = decision;
  byId("decision").textContent = decision === "walk" ? "Walk" : "Stop";
  byId("score").textContent = `score ${formatNumber(score)}, version ${version}`;
  drawFigure(decision);
  const most = Math.max(...contributions.map(Math.abs), 1e-9);
  byId("contributions").replaceChildren(...contributions.map((part, i) => {
    const bar = element("span", { class: `part ${part < 0 ? "negative" : "positive"}` });
    bar.style.width = `${(50 * Math.abs(part)) / most}%`;
    return element("li", {},
      element("span", {}, lightName(i, count)), element("span", { class: "track" }, bar), element("span", {}, formatNumber(part)));
  }));
  byId("flip").replaceChildren(...(flip ? [
    `It would be ${flip.decision} with ${lightPhrase(flip.light, count, "the ")} at ${formatNumber(flip.now)} instead of ${formatNumber(flip.was)}. `,
    element("button", { type: "button", onclick: () => setLight(flip.light, flip.now) }, "Try it"),
  ] : ["No single light, switched on or off, would change the decision."]));
}

export function showNoDecision(message) {
  byId("decision").className = "";
  byId("decision").textContent = "–";
  byId("score").textContent = message;
  byId("contributions").replaceChildren();
  byId("flip").replaceChildren();
  byId("figure").replaceChildren();
}

function drawFigure(decision) {
  const figure = byId("figure");
  figure.setAttribute("class", decision);
  const paths = decision === "walk"
    ? ["M60 55 L56 95", "M58 62 L36 84", "M58 62 L84 78", "M56 95 L38 122 L28 150", "M56 95 L76 118 L88 148"]
    : ["M60 55 L60 95", "M60 62 L46 92", "M60 62 L74 92", "M60 95 L52 150", "M60 95 L68 150"];
  figure.replaceChildren(svgElement("circle", { cx: 60, cy: 30, r: 14 }), ...paths.map((d) => svgElement("path", { d })));
}

// Small lamps with the values of a light state, for tables.
export function miniLights(lights, levels) {
  return element("span", { class: lights.length > 6 ? "mini many" : "mini" }, ...lights.slice(0, 16).map((light) => {
    const dot = element("i", { "aria-hidden": true });
    dot.style.setProperty("--level", levelOf(light, levels));
    return dot;
  }), ` ${formatLights(lights)}`);
}
