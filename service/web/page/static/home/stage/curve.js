// The error curve: the error of each pass, drawn while the network learns, with a line for each network
// that is compared. The pointer, or the arrow keys, read the error of a pass.

import { element, svgElement } from "../shared/dom.js";
import { formatNumber } from "../shared/numbers.js";
import { watchSize } from "../shared/size.js";
import { labelOf } from "./names.js";

const MARGIN = { left: 62, right: 14, top: 12, bottom: 22 };
// The lowest error of the logarithmic scale.
const MIN_LOG = 1e-6;
const MAX_ERROR = 1e6;
// The scale reaches at least this error, unless all are 0: the numbers on the page end there.
const MIN_TOP = 0.001;

// `remember` keeps the scale in the URL.
export function createCurve(stage, container, remember) {
  const readout = element("p", { class: "readout" });
  const scales = element("span", { class: "buttons", role: "group", "aria-label": "scale of the error" });
  const buttons = ["linear", "log"].map((name) => element("button", { type: "button", onclick: () => setScale(name) }, name));
  scales.append(...buttons);
  const svg = svgElement("svg", { role: "slider", tabindex: 0, "aria-label": "the error of each pass" });
  container.replaceChildren(element("div", { class: "bar" }, element("span", {}, "error"), scales), readout, svg,
    element("figcaption", { class: "small soft" }, "The squared errors of a pass, each before its update, summed."));
  const axes = svgElement("g", { class: "axes" });
  const lines = svgElement("g", {});
  const cursor = svgElement("line", { class: "cursor", visibility: "hidden" });
  svg.append(axes, lines, cursor);
  let scale = "linear";
  let picked = null; // the pass that pointer or keyboard reads
  let axesKey = "";
  let view = null;
  const size = watchSize(svg, draw);

  function setScale(name) {
    scale = name;
    stage.changed();
  }

  function draw() {
    const { width, height } = size();
    if (!width) return;
    const series = seriesOf(stage);
    const passes = series[0].errors.length;
    view = frame(series, stage.setup.iterations, scale, width, height);
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", ["linear", "log"][i] === scale));
    const key = JSON.stringify(view.ticks) + width + height;
    if (key !== axesKey) {
      axesKey = key;
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      axes.replaceChildren(...drawAxes(view));
    }
    drawLines(lines, series, view);
    if (picked > passes) picked = null;
    drawCursor(series, passes);
  }

  function drawCursor(series, passes) {
    const pass = picked ?? passes;
    const error = ({ errors }) => (pass > errors.length ? "ended" : formatNumber(errors[pass - 1]));
    const text = passes === 0 ? "no error yet" : series.length === 1 ? `error ${error(series[0])}`
      : series.map((each) => `${each.label}: ${error(each)}`).join(", ");
    readout.textContent = `pass ${pass}, ${text}`;
    svg.setAttribute("aria-valuemin", Math.min(1, passes));
    svg.setAttribute("aria-valuemax", passes);
    svg.setAttribute("aria-valuenow", pass);
    svg.setAttribute("aria-valuetext", readout.textContent);
    cursor.setAttribute("visibility", picked === null ? "hidden" : "visible");
    if (picked === null) return;
    const x = view.x(picked);
    for (const [name, value] of Object.entries({ x1: x, x2: x, y1: MARGIN.top, y2: view.bottom })) cursor.setAttribute(name, value);
  }

  function pick(pass) {
    const passes = stage.experiment.errors.length;
    picked = pass === null || !passes ? null : Math.max(1, Math.min(passes, Math.round(pass)));
    stage.changed();
  }

  svg.addEventListener("pointermove", ({ offsetX }) => pick(view.pass(offsetX)));
  svg.addEventListener("pointerleave", () => pick(null));
  svg.addEventListener("blur", () => pick(null));
  svg.addEventListener("keydown", (event) => {
    const passes = stage.experiment.errors.length;
    const step = Math.max(1, Math.round(passes / 100));
    const now = picked ?? passes;
    const next = { ArrowLeft: now - step, ArrowDown: now - step, ArrowRight: now + step, ArrowUp: now + step, Home: 1, End: passes }[event.key];
    if (next === undefined || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    pick(next);
  });
  stage.subscribe(draw);
  remember("curve", () => (scale === "log" ? "log" : ""), (text) => setScale(text === "log" ? "log" : "linear"));
}

function seriesOf(stage) {
  return [{ label: labelOf(stage.setup), errors: stage.experiment.errors },
    ...stage.others.map(({ label, experiment: { errors } }) => ({ label, errors }))];
}

// Return the scales of both axes: functions from passes and errors to positions, and the ticks.
function frame(series, iterations, scale, width, height) {
  const passes = series[0].errors.length;
  const maxPass = Math.max(iterations * Math.ceil(passes / iterations), iterations);
  const all = series.flatMap(({ errors }) => extremes(errors));
  const largest = Math.max(0, ...all);
  const highest = Math.min(MAX_ERROR, Math.max(largest, MIN_TOP * (largest > 0)) || 1);
  const lowest = Math.max(MIN_LOG, Math.min(...all, highest));
  const yTicks = scale === "log" ? powers(lowest, highest) : steps(highest, 5);
  const [low, high] = [yTicks[0], scale === "log" ? yTicks.at(-1) : highest];
  const position = (error) => (scale === "log"
    ? Math.log(Math.max(error, low) / low) / Math.log(high / low) : error / high);
  const right = width - MARGIN.right - (series.length > 1 ? 70 : 0);
  const bottom = height - MARGIN.bottom;
  const xOf = (pass) => MARGIN.left + ((right - MARGIN.left) * pass) / maxPass;
  return {
    width, right, bottom, ticks: { x: [...steps(maxPass, 4).filter((pass) => pass < maxPass), maxPass], y: yTicks.filter((error) => error <= high), high, scale },
    x: xOf,
    y: (error) => bottom - (bottom - MARGIN.top) * Math.max(0, Math.min(1, position(error))),
    pass: (x) => ((x - MARGIN.left) / (right - MARGIN.left)) * maxPass,
  };
}

function extremes(errors) {
  let [low, high] = [Infinity, 0];
  for (const error of errors) {
    if (error < low) low = error;
    if (error > high) high = error;
  }
  return errors.length ? [low, high] : [];
}

// Return round numbers from 0 up to at least `highest`.
function steps(highest, count) {
  const rough = highest / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999);
  return Array.from({ length: Math.ceil(highest / step - 0.001) + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

function powers(lowest, highest) {
  const [from, to] = [Math.floor(Math.log10(lowest)), Math.ceil(Math.log10(highest))];
  return Array.from({ length: Math.max(to, from + 1) - from + 1 }, (_, i) => Number((10 ** (from + i)).toPrecision(1)));
}

const tickName = (value) => value.toLocaleString("en", { maximumFractionDigits: 6, useGrouping: value < MAX_ERROR });

function drawAxes({ ticks, x, y, right, bottom }) {
  const text = (at, name, attributes) => svgElement("text", { ...at, ...attributes }, name);
  return [
    ...ticks.y.flatMap((error) => [
      svgElement("line", { x1: MARGIN.left, x2: right, y1: y(error), y2: y(error) }),
      text({ x: MARGIN.left - 6, y: y(error) + 4 }, tickName(error), { class: "end" }),
    ]),
    ...ticks.x.slice(0, -1).filter((pass) => x(pass) < right - 80).map((pass) =>
      text({ x: x(pass), y: bottom + 16 }, tickName(pass), { class: "middle" })),
    text({ x: right + 12, y: bottom + 16 }, `${tickName(ticks.x.at(-1))} passes`, { class: "end" }),
  ];
}

// Draw each series with a label at its end. Colour alone doesn't tell them apart: the dashes differ, too.
function drawLines(group, series, view) {
  while (group.childElementCount < series.length) {
    group.append(svgElement("g", {}, svgElement("path"), svgElement("text")));
  }
  while (group.childElementCount > series.length) group.lastElementChild.remove();
  let labels = [];
  series.forEach(({ label, errors }, k) => {
    const [path, text] = group.children[k].children;
    group.children[k].setAttribute("class", `series series-${k % 4}`);
    path.setAttribute("d", pathOf(errors, view));
    if (series.length === 1 || !errors.length) return text.replaceChildren();
    text.textContent = label;
    labels.push({ text, x: view.x(errors.length) + 5, y: view.y(errors.at(-1)) + 4 });
    return undefined;
  });
  // Labels keep a distance from each other.
  labels = labels.sort((a, b) => a.y - b.y);
  labels.forEach((label, k) => { if (k) label.y = Math.max(label.y, labels[k - 1].y + 13); });
  const overflow = labels.length ? Math.max(0, labels.at(-1).y - view.bottom) : 0;
  for (const { text, x, y } of labels) {
    text.setAttribute("x", x);
    text.setAttribute("y", y - overflow);
  }
}

// Return the path through all errors; of those that share a pixel, through the lowest and the highest.
function pathOf(errors, { x, y, width }) {
  const bucket = Math.max(1, Math.floor((errors.length / width) * 2));
  const points = [];
  const add = (k) => points.push(`${x(k + 1).toFixed(1)} ${y(errors[k]).toFixed(1)}`);
  for (let start = 0; start < errors.length; start += bucket) {
    let [low, high] = [start, start];
    for (let k = start; k < Math.min(start + bucket, errors.length); k += 1) {
      if (errors[k] < errors[low]) low = k;
      if (errors[k] > errors[high]) high = k;
    }
    add(Math.min(low, high));
    if (low !== high) add(Math.max(low, high));
  }
  return points.length ? `M${points.join("L")}` : "";
}
