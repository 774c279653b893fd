// The arithmetic of the node or weight that the user points at, with the exact numbers.
//
// Without a focus, it is the arithmetic of the score, and how to choose another node or a weight.

import { exactNumber, formatNumber } from "../shared/numbers.js";
import { element } from "../shared/dom.js";
import { nodeName, weightName } from "./names.js";

// With more terms than this, a sum has rounded numbers.
const MAX_EXACT_TERMS = 6;
const HINT = "Point at a node or a line to see its numbers, or use Tab and the arrow keys.";

export function createArithmetic(stage, container) {
  let shown = "";

  stage.subscribe(() => {
    // A sum that changes in each frame can't be read.
    const lines = stage.playing && !stage.isSlow ? ["Pause to see the numbers of a node or a line."] : arithmetic(stage);
    const key = lines.join("\n");
    // Read the arithmetic out if the user asked for it, not at every step.
    container.setAttribute("aria-live", stage.focus && !stage.playing ? "polite" : "off");
    if (key === shown) return;
    shown = key;
    container.replaceChildren(...lines.map((line) => element("span", { class: line === HINT && "soft" }, line)));
    // A box that scrolls must be reachable by keyboard.
    if (container.scrollHeight > container.clientHeight + 1) container.setAttribute("tabindex", 0);
    else container.removeAttribute("tabindex");
  });
}

// Return the lines that compute what the stage's focus is on.
export function arithmetic(stage) {
  const last = stage.layers.length - 1;
  const { focus } = stage;
  if (!focus) return [...nodeArithmetic(stage, { layer: last, node: 0 }, last), HINT];
  return focus.kind === "node" ? nodeArithmetic(stage, focus, last) : weightArithmetic(stage, focus);
}

function nodeArithmetic({ layers, deltas, setup, experiment, phase, update, row }, { layer, node }, last) {
  // The weights of the forward pass, also while the drawing shows how they change.
  const weights = phase.name === "rest" ? experiment.weights : update.before;
  const value = layers[layer][node];
  const name = nodeName(layer, node);
  if (layer === 0) {
    const light = setup.lights[row][node];
    return [`${name} = ${exactNumber(value)}${experiment.scale === 1 ? "" : `: the light ${exactNumber(light)} divided by the scale ${exactNumber(experiment.scale)}`}`];
  }
  const isRelu = layer < last && setup.activation === "relu";
  const sum = sumOf(layers[layer - 1], (_, i) => weights[layer - 1][i][node]);
  const lines = [`${name} = ${isRelu ? `relu(${sum})` : sum} = ${exactNumber(value)}`];
  const delta = exactNumber(deltas[layer - 1][node]);
  if (layer === last) {
    lines.push(`layer_${layer}_delta = goal ${experiment.outcomes[row]} - ${signed(exactNumber(value))} = ${delta}`);
  } else {
    const back = sumOf(deltas[layer], (_, j) => weights[layer][node][j]);
    const product = isRelu ? `(${back}) × relu2deriv ${value > 0 ? 1 : 0}` : back;
    lines.push(`layer_${layer}_delta[${node}] = ${product} = ${delta}`);
  }
  return lines;
}

// Return "1 × 0.5 + 0 × 0.48": each value times its factor.
function sumOf(values, factor) {
  const format = values.length > MAX_EXACT_TERMS ? formatNumber : exactNumber;
  return values.map((value, i) => `${format(value)} × ${signed(format(factor(value, i)))}`).join(" + ");
}

const signed = (text) => (text.startsWith("-") ? `(${text})` : text);

// During a step, its update; at rest, the update that the shown row, or its batch, would make, and the last one.
function weightArithmetic(stage, focus) {
  const { experiment, update, phase, row } = stage;
  const name = weightName(focus.layer, focus.from, focus.to);
  const arithmeticOf = (step) => updateArithmetic(stage.setup, focus, step);
  if (phase.name !== "rest") return [`${name}: ${arithmeticOf(update)}`];
  const batch = experiment.batches.findIndex(([start, end]) => row >= start && row < end);
  const [start, end] = experiment.batches[batch];
  const next = { start, end, before: experiment.weights, ...experiment.updateFrom(experiment.weights, batch) };
  const rows = end - start > 1 ? `rows ${start + 1} to ${end}` : `row ${start + 1}`;
  const lines = [`${name}, learning from ${rows}: ${arithmeticOf(next)}`];
  return update ? [`${name}, last step: ${arithmeticOf(update)}`, ...lines] : lines;
}

function updateArithmetic(setup, { layer, from, to }, { start, end, before, after, layers, deltas, weightDeltas }) {
  const old = exactNumber(before[layer][from][to]);
  const decay = setup.weightDecay ? ` × (1 - alpha ${exactNumber(setup.alpha)} × L2 ${exactNumber(setup.weightDecay)})` : "";
  const term = (row) => `input ${exactNumber(layers[row][layer][from])} × delta ${exactNumber(deltas[row][layer][to])}`;
  const count = end - start;
  const weightDelta = count === 1 ? term(0)
    : count <= 3 ? `(${Array.from({ length: count }, (_, row) => term(row)).join(" + ")}) / ${count}`
      : `average of input × delta over ${count} rows ${exactNumber(weightDeltas[layer][from][to])}`;
  const shrinkage = setup.l1Penalty ? `, moved towards 0 by at most alpha × L1 ${exactNumber(setup.alpha * setup.l1Penalty)},` : "";
  return `${old}${decay} + alpha ${exactNumber(setup.alpha)} × (${weightDelta})${shrinkage} = ${exactNumber(after[layer][from][to])}`;
}
