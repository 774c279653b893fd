// The lab's Weight Pressure table: rows by weights, and what of the pressure cancels.
//
// The arithmetic is in ../learning/pressure.js.

import { pressure } from "../learning/pressure.js";
import { pressureBody } from "../learning/requests.js";
import { showCurl } from "../shared/curl.js";
import { decisionLabel, element } from "../shared/dom.js";
import { lightNames } from "../shared/light_names.js";
import { formatNumber } from "../shared/numbers.js";
import { drawWhenVisible, isMoving } from "./drawn_when_visible.js";
import { labelled, option, setText } from "./fields.js";
import { outcomeName } from "./names.js";

const MAX_WEIGHTS = 64; // with more weights, one matrix at a time is shown
const MAX_CELLS = 1600; // with more, a part of the rows is shown
const MAX_MOVING = 50000; // pressures of all rows; with more, the table changes at rest only
const TOTALS = ["up", "down", "sum"];

export function createPressureGrid(stage, container) {
  const chooser = element("select", { onchange: draw });
  const chooserLabel = labelled("weights", chooser);
  const head = element("thead");
  const body = element("tbody");
  const foot = element("tfoot");
  const note = element("p", { class: "soft small" });
  container.append(
    element("h3", {}, "Pressure: which rows push which weights"),
    element("p", { class: "soft small" }, "▲ pushes the weight up, ▼ down, · leaves it: its input or its node is off, or there is no error. What up and down have in common cancels; the sum is left."),
    chooserLabel,
    element("div", { class: "scroll", role: "group", tabindex: 0, "aria-label": "The pressure table" },
      element("table", { class: "pressure" }, head, body, foot)),
    note, element("div", { class: "curl", "data-curl": "stage-pressure" }));

  let shown = ""; // the shape of the table
  let shownSetup = null;
  let weights = []; // the weights with a column: {d, i, j}
  let columns = []; // the cells of each weight, to mark the weight under the pointer
  let shownWeights = null; // those of the curl command

  function draw() {
    const { experiment, setup } = stage;
    if (isMoving(stage) && experiment.inputs.length * stage.weights.flat(2).length > MAX_MOVING) return;
    const { start, end } = build();
    const all = pressure(stage.weights, experiment.inputs, experiment.outcomes, setup.activation);
    const at = (matrices, { d, i, j }) => matrices[d][i][j];
    const rows = all.rows.slice(start, end);
    const largest = Math.max(...rows.flatMap((row) => weights.map((weight) => Math.abs(at(row, weight)))));
    rows.forEach((row, r) => {
      weights.forEach((weight, c) => showCell(body.rows[r].cells[c + 1], at(row, weight), largest));
      const isLearnt = isLearning(start + r);
      body.rows[r].classList.toggle("now", isLearnt);
      body.rows[r].setAttribute("aria-current", isLearnt);
    });
    const longest = Math.max(...weights.flatMap((weight) => [at(all.up, weight), -at(all.down, weight)]));
    TOTALS.forEach((total, r) => weights.forEach((weight, c) =>
      showTotal(foot.rows[r].cells[c + 1], at(all[total], weight), longest)));
    const { focus } = stage;
    weights.forEach(({ d, i, j }, c) => {
      const isFocused = focus?.kind === "weight" && focus.layer === d && focus.from === i && focus.to === j;
      for (const cell of columns[c]) cell.classList.toggle("focused", isFocused);
    });
    if (!isMoving(stage) && experiment.weights !== shownWeights) {
      shownWeights = experiment.weights;
      showCurl("stage-pressure", "POST", "pressure", pressureBody(experiment));
    }
  }

  // The rows of the batch that is being learnt, or that is next.
  function isLearning(row) {
    const { experiment, update, phase } = stage;
    const [start, end] = phase.name === "rest" ? experiment.batches[experiment.batch] : [update.start, update.end];
    return row >= start && row < end;
  }

  // Build the table if its shape changed, and return the rows that it shows.
  function build() {
    const { setup, experiment } = stage;
    const names = experiment.weights.map((_, d) => `weights_${d}_${d + 1}`);
    const isByMatrix = names.length > 1 && experiment.weights.flat(2).length > MAX_WEIGHTS;
    if (chooser.options.length !== names.length) chooser.replaceChildren(...names.map((name, d) => option(d, name)));
    chooserLabel.hidden = !isByMatrix;
    const matrices = experiment.weights.map((_, d) => d).filter((d) => !isByMatrix || d === Number(chooser.value));
    weights = matrices.flatMap((d) => experiment.weights[d].flatMap((row, i) => row.map((_, j) => ({ d, i, j }))));
    const count = Math.min(setup.lights.length, Math.max(6, Math.floor(MAX_CELLS / weights.length)));
    const start = stage.row - (stage.row % count);
    const end = Math.min(start + count, setup.lights.length);
    const shape = [matrices, start, end].join();
    if (shape === shown && setup === shownSetup) return { start, end };
    shown = shape;
    shownSetup = setup;
    showHead(matrices);
    const row = (...title) => element("tr", {}, element("th", { scope: "row" }, ...title), ...weights.map(() => element("td")));
    body.replaceChildren(...setup.lights.slice(start, end).map((lights, i) =>
      row(`${start + i + 1}: ${lights.map(formatNumber).join(" ")} `, decisionLabel(outcomeName(setup.outcomes[start + i])))));
    foot.replaceChildren(...TOTALS.map((total) => row(total)));
    columns = weights.map((_, c) => [head.rows[1], ...body.rows, ...foot.rows].map(({ cells }) => cells[c + 1]));
    setText(note, end - start < setup.lights.length ? `Rows ${start + 1} to ${end} of ${setup.lights.length}; up, down and sum are of all rows.` : "");
    return { start, end };
  }

  function showHead(matrices) {
    const lights = lightNames(stage.setup.lights[0].length);
    const isTwoLayer = stage.experiment.weights.length === 1;
    const groups = matrices.map((d) => element("th", { scope: "colgroup", colspan: stage.experiment.weights[d].flat().length }, `weights_${d}_${d + 1}`));
    const names = weights.map(({ d, i, j }) => {
      const focus = { kind: "weight", layer: d, from: i, to: j };
      return element("th", { scope: "col", onpointerenter: () => stage.setFocus(focus), onpointerleave: () => stage.setFocus(null) },
        isTwoLayer ? lights[i] : `${d ? i : lights[i]} → ${j}`);
    });
    head.replaceChildren(element("tr", {}, element("td"), ...groups), element("tr", {}, element("th", { scope: "col" }, "row"), ...names));
  }

  drawWhenVisible(stage, container, draw);
}

const arrow = (value) => (value > 0 ? "▲" : value < 0 ? "▼" : "·");
const signOf = (value) => (value > 0 ? "up" : value < 0 ? "down" : "none");

// An arrow whose area grows with the pressure, and the number.
function showCell(cell, value, largest) {
  if (!cell.firstChild) cell.append(element("b"), element("span"));
  const [symbol, number] = cell.children;
  setText(symbol, arrow(value));
  symbol.style.fontSize = value ? `${(0.5 + Math.sqrt(Math.abs(value) / largest)).toFixed(2)}em` : "";
  setText(number, value ? formatNumber(Math.abs(value)) : "0");
  if (cell.className !== signOf(value)) cell.className = signOf(value);
}

// A bar and the number.
function showTotal(cell, value, longest) {
  if (!cell.firstChild) cell.append(element("i"), element("span"));
  const [bar, number] = cell.children;
  bar.style.width = `${longest ? ((100 * Math.abs(value)) / longest).toFixed(1) : 0}%`;
  setText(number, `${arrow(value)} ${formatNumber(Math.abs(value))}`);
  if (cell.className !== signOf(value)) cell.className = signOf(value);
}
