// The drawing of a network, as in the lab: a column for each layer, a line for each weight.

import { byId, formatNumber, svgElement } from "../shared/dom.js";

const WIDTH = 640;
const HEIGHT = 360;

// `result` is the response of /explain, or of /step: then the weights that didn't change are faint.
export function drawNetwork(result, drawing = "live-drawing", arithmetic = "live-arithmetic") {
  const showText = (text) => { byId(arithmetic).textContent = text; };
  const layers = Object.values(result.layers);
  const weights = Object.values(result.weights);
  const positions = layers.map((layer, d) => layer.map((value, i) => ({
    value,
    x: 90 + (d * (WIDTH - 180)) / (layers.length - 1),
    y: 40 + ((i + 0.5) * (HEIGHT - 60)) / layer.length,
  })));
  const maxWeight = Math.max(...weights.flat(2).map(Math.abs), 1e-9);
  const lines = weights.flatMap((matrix, d) => matrix.flatMap((row, i) => row.map((weight, j) =>
    svgElement("line", {
      x1: positions[d][i].x, y1: positions[d][i].y, x2: positions[d + 1][j].x, y2: positions[d + 1][j].y,
      stroke: weight < 0 ? "var(--stop)" : "var(--walk)",
      "stroke-dasharray": weight < 0 ? "6 4" : null,
      "stroke-width": 0.5 + (5 * Math.abs(weight)) / maxWeight,
      "stroke-opacity": (result.weight_deltas?.[`weights_${d}_${d + 1}`][i][j] ?? positions[d][i].value) === 0 ? 0.2 : 0.85,
    }))));
  const names = layers.map((_, d) =>
    svgElement("text", { x: positions[d][0].x, y: 20, "text-anchor": "middle", class: "soft" }, `layer_${d}`));
  const nodes = layers.flatMap((layer, d) => layer.map((value, i) => node(result, d, i, positions[d][i], showText)));
  byId(drawing).replaceChildren(...lines, ...names, ...nodes);
}

function node(result, d, i, { value, x, y }, showText) {
  const mask = result.relu[`layer_${d}`];
  const isOff = mask && !mask[i];
  const show = () => showText(arithmeticOf(result, d, i));
  return svgElement("g", {
    tabindex: 0, role: "button", "aria-label": `layer_${d}, node ${i}: ${formatNumber(value)}${isOff ? ", turned off by relu" : ""}`,
    onmouseenter: show, onfocus: show, onclick: show,
  },
  svgElement("circle", {
    cx: x, cy: y, r: Math.min(24, (HEIGHT - 60) / result.layers[`layer_${d}`].length / 2.2), stroke: "var(--ink)", "stroke-width": 2,
    "stroke-dasharray": isOff ? "4 4" : null,
    fill: isOff ? "var(--card)" : `color-mix(in srgb, var(--lamp) ${Math.round(100 * Math.min(1, Math.abs(value)))}%, var(--card))`,
  }),
  svgElement("text", { x, y: y + 5, "text-anchor": "middle", class: Math.abs(value) > 0.4 ? "lit" : null }, isOff ? "off" : formatNumber(Number(value.toFixed(2)))));
}

function arithmeticOf(result, d, i) {
  const value = result.layers[`layer_${d}`][i];
  if (d === 0) return `layer_0[${i}] = ${formatNumber(value)}: light ${i} divided by the scale.`;
  const inputs = result.layers[`layer_${d - 1}`];
  const matrix = result.weights[`weights_${d - 1}_${d}`];
  const terms = inputs.map((input, j) => `${formatNumber(input)} × ${formatNumber(matrix[j][i])}`);
  const sum = terms.join(" + ");
  const relu = result.relu[`layer_${d}`];
  const delta = result.deltas ? `; its delta is ${formatNumber(result.deltas[`layer_${d}`][i])}` : "";
  return `layer_${d}[${i}] = ${relu ? `relu(${sum})` : sum} = ${formatNumber(value)}${delta}`;
}
