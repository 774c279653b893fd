// The signals on the lines of the drawing: forward, a disc for each node times weight; backward, a
// hollow diamond for each delta times weight. Each has a plus or a minus inside, so that its sign
// doesn't depend on its colour.

import { svgElement } from "../shared/dom.js";

const DISC = "M-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0";
const DIAMOND = "M-8 0L0-8 8 0 0 8Z";
const MINUS = "M-3 0H3";
const PLUS = `${MINUS}M0-3V3`;

// Create the signals in an SVG of their own, above the drawing, so that the lines aren't painted again in
// each frame. `places` and `radii` are the positions and the radii of the nodes.
export function createPulses(svg, places, radii) {
  const most = Math.max(...places.slice(1).map((targets, d) => targets.length * places[d].length));
  const pulses = Array.from({ length: most }, () => svgElement("path", { visibility: "hidden" }));
  svg.replaceChildren(...pulses);
  let shown = 0;

  function draw(phase, { layers, deltas, weights: matrices }) {
    const gaps = matrices.length;
    const isForward = phase.name === "forward";
    const gap = Math.floor(phase.progress * gaps);
    let used = 0;
    if ((isForward || phase.name === "backward") && gap < gaps) {
      const d = isForward ? gap : gaps - 1 - gap;
      const part = ease(phase.progress * gaps - gap);
      // A delta of the first hidden layer ends on the lines, at the weights that it changes.
      const t = isForward ? part : 1 - part * (d === 0 ? 0.5 : 1);
      matrices[d].forEach((row, i) => row.forEach((weight, j) => {
        const signal = isForward ? layers[d][i] * weight : deltas[d][j] * (d === 0 ? layers[d][i] : weight);
        if (signal === 0) return;
        show(pulses[used], signal, isForward);
        pulses[used].setAttribute("transform", transform(signal, places[d][i], places[d + 1][j], radii[d], radii[d + 1], t));
        used += 1;
      }));
    }
    for (let i = used; i < shown; i += 1) show(pulses[i], 0);
    shown = used;
  }

  return { draw };
}

// Give a pulse the shape of a signal, if it has another one.
function show(pulse, signal, isForward) {
  const kind = signal ? `${isForward ? "forward" : "backward"} ${signal < 0 ? "negative" : "positive"}` : "";
  if (pulse.kind === kind) return;
  pulse.kind = kind;
  pulse.setAttribute("visibility", kind ? "visible" : "hidden");
  pulse.setAttribute("d", (isForward ? DISC : DIAMOND) + (signal < 0 ? MINUS : PLUS));
  pulse.setAttribute("class", kind);
}

// Place a pulse at the part `t` of the line between the edges of two nodes.
function transform(signal, from, to, start, end, t) {
  const [width, height] = [to.x - from.x, to.y - from.y];
  const length = Math.hypot(width, height);
  const part = (start + t * (length - start - end)) / length;
  const size = Math.abs(signal);
  return `translate(${(from.x + part * width).toFixed(1)} ${(from.y + part * height).toFixed(1)}) scale(${(0.6 + size / (1 + size)).toFixed(2)})`;
}

const ease = (t) => t * t * (3 - 2 * t);
