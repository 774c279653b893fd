// The network as the lab draws it: a column a layer, a line a weight. It only draws what it is told.

import { byId, number, shape } from "./dom.js";

const WIDTH = 640;
const HEIGHT = 360;

// `told` is what /explain says, or /step: then what isn't moved is faint.
export function drawNetwork(told, drawing = "drawing", arithmetic = "arithmetic") {
  const tell = (sentence) => { byId(arithmetic).textContent = sentence; };
  const layers = Object.values(told.layers);
  const weights = Object.values(told.weights);
  const places = layers.map((layer, d) => layer.map((value, i) => ({
    value,
    x: 90 + (d * (WIDTH - 180)) / (layers.length - 1),
    y: 40 + ((i + 0.5) * (HEIGHT - 60)) / layer.length,
  })));
  const most = Math.max(...weights.flat(2).map(Math.abs), 1e-9);
  const lines = weights.flatMap((matrix, d) => matrix.flatMap((row, i) => row.map((weight, j) =>
    shape("line", {
      x1: places[d][i].x, y1: places[d][i].y, x2: places[d + 1][j].x, y2: places[d + 1][j].y,
      stroke: weight < 0 ? "var(--stop)" : "var(--walk)",
      "stroke-dasharray": weight < 0 ? "6 4" : null,
      "stroke-width": 0.5 + (5 * Math.abs(weight)) / most,
      "stroke-opacity": (told.weight_deltas?.[`weights_${d}_${d + 1}`][i][j] ?? places[d][i].value) === 0 ? 0.2 : 0.85,
    }))));
  const names = layers.map((_, d) =>
    shape("text", { x: places[d][0].x, y: 20, "text-anchor": "middle", class: "soft" }, `layer_${d}`));
  const nodes = layers.flatMap((layer, d) => layer.map((value, i) => node(told, d, i, places[d][i], tell)));
  byId(drawing).replaceChildren(...lines, ...names, ...nodes);
}

function node(told, d, i, { value, x, y }, show) {
  const mask = told.relu[`layer_${d}`];
  const off = mask && !mask[i];
  const tell = () => show(arithmeticOf(told, d, i));
  return shape("g", {
    tabindex: 0, role: "button", "aria-label": `layer_${d}, node ${i}: ${number(value)}${off ? ", turned off by relu" : ""}`,
    onmouseenter: tell, onfocus: tell, onclick: tell,
  },
  shape("circle", {
    cx: x, cy: y, r: Math.min(24, (HEIGHT - 60) / told.layers[`layer_${d}`].length / 2.2), stroke: "var(--ink)", "stroke-width": 2,
    "stroke-dasharray": off ? "4 4" : null,
    fill: off ? "var(--card)" : `color-mix(in srgb, var(--lamp) ${Math.round(100 * Math.min(1, Math.abs(value)))}%, var(--card))`,
  }),
  shape("text", { x, y: y + 5, "text-anchor": "middle", class: Math.abs(value) > 0.4 ? "lit" : null }, off ? "off" : number(Number(value.toFixed(2)))));
}

function arithmeticOf(told, d, i) {
  const value = told.layers[`layer_${d}`][i];
  if (d === 0) return `layer_0[${i}] = ${number(value)}: what light ${i} shows, divided by the scale.`;
  const before = told.layers[`layer_${d - 1}`];
  const matrix = told.weights[`weights_${d - 1}_${d}`];
  const terms = before.map((left, j) => `${number(left)} × ${number(matrix[j][i])}`);
  const sum = terms.join(" + ");
  const relu = told.relu[`layer_${d}`];
  const blame = told.deltas ? `; its delta is ${number(told.deltas[`layer_${d}`][i])}` : "";
  return `layer_${d}[${i}] = ${relu ? `relu(${sum})` : sum} = ${number(value)}${blame}`;
}
