// The drawing of the network: a column for each layer, a line for each weight, and the signals that
// run along the lines.
//
// Positions are in layout.js, the signals in pulses.js, pointer and keyboard in drawing_focus.js. The
// elements are created again only if the shape of the network or the size of the picture changes.

import { svgElement } from "../shared/dom.js";
import { lightName } from "../shared/light_names.js";
import { formatChange, shortNumber } from "../shared/numbers.js";
import { watchSize } from "../shared/size.js";
import { isWalk } from "../learning/network.js";
import { handleFocus } from "./drawing_focus.js";
import { figure } from "./figure.js";
import { layout } from "./layout.js";
import { nodeName, outcomeName, weightName } from "./names.js";
import { createPulses } from "./pulses.js";

// Nodes smaller than this have no number inside; with less room than this below them, no delta.
const MIN_NUMBER_RADIUS = 18;
const DELTA_ROOM = 20;
// Between two layers with more lines than this, lines are thin.
const MAX_THICK_LINES = 40;
const NAME_WIDTH = 60;
// With more weights than this, a network that learns fast is drawn once in so many milliseconds.
const MAX_SMALL = 200;
const LARGE_INTERVAL = 200;

export function createDrawing(stage, svg) {
  let picture = null;
  const focus = handleFocus(stage, svg);
  const signals = svgElement("svg", { class: "pulses", "aria-hidden": "true" });
  svg.after(signals);
  const size = watchSize(svg, draw);

  function draw() {
    const { width, height } = size();
    if (!width) return;
    const sizes = [stage.experiment.weights[0].length, ...stage.experiment.weights.map((matrix) => matrix[0].length)];
    const key = `${sizes} ${width} ${height} ${stage.setup.activation}`;
    if (picture?.key !== key) {
      const hadFocus = svg.contains(document.activeElement);
      picture = { key, ...build(svg, signals, sizes, stage.setup.activation, width, height) };
      focus.attach(picture, hadFocus);
    }
    const now = performance.now();
    const isFast = stage.playing && !stage.isSlow;
    if (isFast && picture.isLarge && now < picture.drawn + LARGE_INTERVAL) return;
    picture.drawn = now;
    const state = { layers: stage.layers, deltas: stage.deltas, weights: stage.weights };
    // While signals run along the lines of a gap, nothing else changes. The weights of a large network
    // change at once.
    const { name, progress } = stage.phase;
    const scene = `${name} ${name === "update" || Math.floor(progress * state.weights.length)} ${stage.experiment.steps} ${stage.row}`;
    const onlySignalsMove = scene === picture.scene && (name === "forward" || name === "backward" || (name === "update" && picture.isLarge));
    picture.scene = scene;
    if (!onlySignalsMove) drawNetwork(stage, state, picture);
    picture.pulses.draw(stage.phase, state);
    focus.draw();
  }

  stage.subscribe(draw);
}

function build(svg, signals, sizes, activation, width, height) {
  // In a large picture, all is larger.
  const zoom = Math.max(1, Math.min(width / 640, height / 440, 2.4));
  const view = [width / zoom, height / zoom];
  for (const each of [svg, signals]) each.setAttribute("viewBox", `0 0 ${view.join(" ")}`);
  const { nodes: places, radii, labels: labelPlaces } = layout(sizes, ...view);
  const last = sizes.length - 1;
  const weights = places.slice(1).map((targets, d) => places[d].map((from, i) => targets.map((to, j) =>
    weight(d, i, j, from, to, labelPlaces[d]?.[i][j], sizes[d] * sizes[d + 1] > MAX_THICK_LINES ? 3 : 10))));
  const hasRoom = (column, radius) => column.length < 2 || column[1].y - column[0].y > 2 * radius + DELTA_ROOM;
  const nodes = places.map((column, d) => column.map((place, i) => (d === last
    ? output(d, place, radii[d]) : node(d, i, place, radii[d], hasRoom(column, radii[d]), d === 0 && lightName(i, sizes[0])))));
  const pulses = createPulses(signals, places, radii);
  const gap = places[1][0].x - places[0][0].x;
  const kind = (d) => (d === 0 ? "lights" : d === last ? "score" : activation);
  svg.replaceChildren(
    ...places.map(([{ x }], d) => svgElement("text", { x, y: 16, class: "name" },
      gap > NAME_WIDTH ? `layer_${d}` : d, svgElement("tspan", { x, y: 34, class: "soft" }, kind(d)))),
    ...(gap < 3 * NAME_WIDTH ? [] : weights.map((_, d) =>
      svgElement("text", { x: places[d][0].x + gap / 2, y: 34, class: "soft" }, `weights_${d}_${d + 1}`))),
    ...weights.flat(2).map(({ group }) => group),
    ...weights.flat(2).filter(({ label }) => label).map(({ label }) => label),
    ...nodes.flat().map(({ group }) => group),
  );
  return { weights, nodes, pulses, sizes, isLarge: weights.flat(2).length > MAX_SMALL, drawn: 0 };
}

// An item of the drawing has its elements, and from drawNetwork its `number`, and a node its `delta`.
function weight(d, i, j, from, to, place, thickness) {
  const ends = { x1: from.x, y1: from.y, x2: to.x, y2: to.y };
  const line = svgElement("line", { ...ends, class: "line" });
  const group = svgElement("g", { class: "weight", role: "button", tabindex: -1 }, svgElement("line", { ...ends, class: "hit" }), line);
  const text = place && svgElement("tspan", { x: place.x });
  const change = place && svgElement("tspan", { x: place.x, dy: 14 });
  const label = place && svgElement("text", { y: place.y + 4, class: "label" }, text, change);
  return { kind: "weight", layer: d, from: i, to: j, name: weightName(d, i, j), thickness, group, line, label, text, change };
}

function node(d, i, { x, y }, radius, hasRoom, light) {
  const back = svgElement("circle", { cx: x, cy: y, r: radius, class: "back" });
  const circle = svgElement("circle", { cx: x, cy: y, r: radius });
  const hasNumber = light || radius >= MIN_NUMBER_RADIUS;
  const beside = x - radius - 8;
  const text = hasNumber && svgElement("text", light
    ? { x: beside, y: y + (radius >= 12 ? 16 : 5), class: "beside" } : { x, y: y + 5 });
  const name = light && radius >= 12 && svgElement("text", { x: beside, y: y - 1, class: "soft beside" }, light);
  const deltaText = !light && hasNumber && hasRoom && svgElement("text", { x, y: y + radius + 15 });
  const group = svgElement("g", { role: "button", tabindex: -1 }, back, circle, ...[name, text, deltaText].filter(Boolean));
  return { kind: "node", layer: d, node: i, name: nodeName(d, i) + (light ? `, ${light}` : ""), group, circle, text, deltaText };
}

function output(d, { x, y }, radius) {
  const circle = svgElement("circle", { cx: x, cy: y, r: radius });
  const text = svgElement("text", { x, y: y + 7, class: "score" });
  const decision = svgElement("text", { x, y: y - radius - 12, class: "decision" });
  const person = figure();
  person.setAttribute("transform", `translate(${x} ${y - radius - 66})`);
  const goal = svgElement("text", { x, y: y + radius + 20 });
  const deltaText = svgElement("text", { x, y: y + radius + 40 });
  const group = svgElement("g", { role: "button", tabindex: -1 }, circle, text, person, decision, goal, deltaText);
  return { kind: "node", layer: d, node: 0, name: nodeName(d, 0), group, circle, text, decision, goal, deltaText };
}

function drawNetwork(stage, state, { weights, nodes }) {
  const { phase, setup, update } = stage;
  const last = state.weights.length;
  const { name, progress } = phase;
  // The layers whose values are known in this phase, and from which layer on the deltas are.
  const reached = name === "forward" ? Math.floor(progress * last) : last;
  const firstDelta = { forward: last + 1, backward: last - Math.floor(progress * last) }[name] ?? 0;
  const hasChanges = update && (name === "update" || name === "rest") && (stage.isSlow || !stage.playing);
  const flash = name === "update" ? 1 - progress : 0;

  for (const item of weights.flat(2)) {
    const { layer, from, to } = item;
    item.number = state.weights[layer][from][to];
    const moved = hasChanges ? update.after[layer][from][to] - update.before[layer][from][to] : 0;
    const size = Math.abs(item.number);
    put(item.line, "stroke-width", (1 + (item.thickness * size) / (1 + size) + (moved && 5 * flash)).toFixed(2));
    const isIdle = layer <= reached && state.layers[layer][from] === 0;
    put(item.group, "class", `weight ${sign(item.number)}${isIdle ? " idle" : ""}${moved && flash ? " moved" : ""}`);
    if (!item.label) continue;
    write(item.text, sign(item.number), shortNumber(item.number));
    write(item.change, `change ${sign(moved)}`, formatChange(moved));
  }

  for (const item of nodes.flat()) {
    const { layer, node: index } = item;
    const isKnown = layer <= reached;
    item.number = state.layers[layer][index];
    item.delta = layer > 0 && layer >= firstDelta ? state.deltas[layer - 1][index] : null;
    item.isOff = layer > 0 && layer < last && setup.activation === "relu" && item.number === 0;
    if (item.deltaText) {
      const text = item.delta === null ? "" : `◇ ${layer === last ? "delta " : ""}${shortNumber(item.delta)}`;
      write(item.deltaText, `delta ${sign(item.delta)}`, text);
    }
    if (layer === last) {
      drawOutput(item, isKnown, stage.experiment.outcomes[stage.row]);
      continue;
    }
    put(item.group, "class", `node ${layer ? "" : "light"} ${!isKnown ? "unknown" : item.isOff ? "off" : ""}`);
    put(item.circle, "fill-opacity", isKnown ? Math.min(1, Math.abs(item.number)).toFixed(2) : "0");
    if (item.text) write(item.text, layer ? "value" : "value beside", !isKnown ? "" : item.isOff ? "off" : shortNumber(item.number));
  }
}

function drawOutput({ group, text, decision, goal, number }, isKnown, outcome) {
  const walk = isWalk(number);
  put(group, "class", `node output ${isKnown ? outcomeName(walk) : "unknown"}`);
  const score = isKnown ? shortNumber(number) : "";
  write(text, score.length > 6 ? "score long" : "score", score);
  write(decision, "decision", isKnown ? outcomeName(walk).toUpperCase() : "");
  write(goal, "goal", `goal ${outcome} ${outcomeName(outcome)}${isKnown ? (walk === Boolean(outcome) ? " ✓" : " ✗") : ""}`);
}

const sign = (value) => (value < 0 ? "negative" : "positive");

function put(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

function write(element, kind, text) {
  put(element, "class", kind);
  if (element.textContent !== text) element.textContent = text;
}
