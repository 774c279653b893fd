// The signals on the lines of the drawing: forward, a disc for each node times weight; backward, a
// hollow diamond for each delta times weight. Plus or minus inside tells the sign without its colour.

import { svgElement } from "../shared/dom.js";

const DISC = "M-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0";
const DIAMOND = "M-8 0L0-8 8 0 0 8Z";
const MINUS = "M-3 0H3";
const PLUS = `${MINUS}M0-3V3`;

// `places` and `weights` are the positions of the nodes, and the elements of the lines.
export function createPulses(places, weights) {
  const most = Math.max(...weights.map((matrix) => matrix.flat().length));
  const pulses = Array.from({ length: most }, () => svgElement("path", { visibility: "hidden" }));
  const group = svgElement("g", { class: "pulses" }, ...pulses);
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
        move(pulses[used], signal, isForward, places[d][i], places[d + 1][j], t);
        used += 1;
      }));
    }
    for (let i = used; i < shown; i += 1) pulses[i].setAttribute("visibility", "hidden");
    shown = used;
  }

  return { group, draw };
}

function move(pulse, signal, isForward, from, to, t) {
  const size = Math.abs(signal);
  const scale = (0.6 + size / (1 + size)).toFixed(2);
  const x = (from.x + t * (to.x - from.x)).toFixed(1);
  const y = (from.y + t * (to.y - from.y)).toFixed(1);
  pulse.setAttribute("d", (isForward ? DISC : DIAMOND) + (signal < 0 ? MINUS : PLUS));
  pulse.setAttribute("class", `${isForward ? "forward" : "backward"} ${signal < 0 ? "negative" : "positive"}`);
  pulse.setAttribute("transform", `translate(${x} ${y}) scale(${scale})`);
  pulse.setAttribute("visibility", "visible");
}

const ease = (t) => t * t * (3 - 2 * t);
