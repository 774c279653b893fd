// What the network thinks everywhere: a map of its score over two lights, with the observed rows.
//
// The light states are in light_plane.js, the maps of the hidden nodes in hidden_maps.js.

import { THRESHOLD, forward, isWalk } from "../learning/network.js";
import { decisionLabel, element, svgElement } from "../shared/dom.js";
import { formatNumber } from "../shared/numbers.js";
import { contour } from "./contour.js";
import { drawWhenVisible, isMoving } from "./drawn_when_visible.js";
import { labelled, option, setText } from "./fields.js";
import { drawGrid, onColourChange } from "./heat_colours.js";
import { createHiddenMaps } from "./hidden_maps.js";
import { LightPlane } from "./light_plane.js";
import { outcomeName } from "./names.js";

const SIZE = 24; // points of the grid in each direction, from edge to edge
const LAST = SIZE - 1;
const MARK_SPOTS = 40; // rows that are closer to each other, in parts of the map, have one mark
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const HINT = "Point at the map, or use its arrow keys.";

// `remember` keeps the lights of the map in the URL.
export function createHeatMap(stage, container, remember) {
  let plane;
  let shownLights;
  let marked; // the setup whose rows have marks
  let pointed = null; // the place under the pointer, or of the arrow keys

  const canvas = element("canvas", { "aria-hidden": "true" });
  const line = svgElement("path", { class: "line" });
  const marks = svgElement("g");
  const cross = svgElement("circle", { class: "cross", r: 0.7 });
  const plot = element("div", {
    class: "heat", role: "img", tabindex: 0, onkeydown: moveByKey,
    onpointermove: ({ clientX, clientY }) => {
      const { left, top, width, height } = plot.getBoundingClientRect();
      point([(clientX - left) / width, 1 - (clientY - top) / height]);
    },
    onpointerleave: () => point(null), onblur: () => point(null),
  }, canvas, svgElement("svg", { viewBox: `0 0 ${LAST} ${LAST}`, "aria-hidden": "true" }, line, marks, cross));
  const selects = [0, 1].map((axis) => element("select", {
    onchange: ({ target }) => {
      plane.setAxis(axis, Number(target.value));
      showControls();
      planeChanged();
    },
  }));
  const labels = selects.map((select, axis) => labelled(["across", "up"][axis], select));
  const ends = Array.from({ length: 4 }, () => element("span")); // of the axis up, from high to low, then of the axis across
  const sliders = element("div", { class: "sliders" });
  const readout = element("output", { class: "small" });
  const hidden = createHiddenMaps(stage);
  container.append(
    element("figcaption", {}, element("h3", {}, "What it thinks everywhere")),
    element("div", { class: "map" },
      element("div", { class: "ends up", "aria-hidden": "true" }, ...ends.slice(0, 2)), plot,
      element("div", { class: "ends across", "aria-hidden": "true" }, ...ends.slice(2)),
      element("div", { class: "map-controls" }, labels[1], labels[0], sliders,
        element("p", { class: "legend" }, "0", element("span", { class: "bar" }), "1"),
        element("p", { class: "legend" }, decisionLabel("stop"), element("span", { class: "soft" }, String(THRESHOLD)), decisionLabel("walk")))),
    readout, hidden.box);

  const layersAt = (lights) =>
    forward(stage.weights, lights.map((light) => light / stage.experiment.scale), stage.setup.activation);
  const decisionAt = (lights) => {
    const [score] = layersAt(lights).at(-1);
    return `${formatNumber(score)}, ${outcomeName(isWalk(score))}`;
  };

  function setLights(lights) {
    shownLights = lights;
    const last = plane;
    plane = new LightPlane(lights);
    if (last?.names.length === plane.names.length) plane.axes = last.axes;
    for (const select of selects) select.replaceChildren(...plane.names.map((name, i) => option(i, name)));
    labels[1].hidden = plane.axes.length === 1;
    const [low, high] = plane.range.map(formatNumber);
    [high, low, low, high].forEach((end, i) => setText(ends[i], end));
    showControls();
  }

  function showControls() {
    const { axes, values, range: [min, max] } = plane;
    axes.forEach((light, axis) => { selects[axis].value = light; });
    sliders.replaceChildren(...plane.others.map((i) => {
      const value = element("output", {}, formatNumber(values[i]));
      const slider = element("input", {
        type: "range", min, max, step: (max - min) / 20, value: values[i],
        oninput: () => {
          values[i] = slider.valueAsNumber;
          value.textContent = formatNumber(values[i]);
          planeChanged();
        },
      });
      return labelled(plane.names[i], slider, value);
    }));
  }

  function moveByKey(event) {
    const step = KEYS[event.key];
    if (!step || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation(); // outside of the map, the right arrow key makes a step
    point((pointed ?? [0.5, 0.5]).map((part, i) => Math.min(1, Math.max(0, part + step[i] / 20))));
  }

  function point(place) {
    pointed = place;
    showPoint();
  }

  function showPoint() {
    cross.classList.toggle("shown", pointed !== null);
    readout.setAttribute("aria-live", isMoving(stage) ? "off" : "polite");
    if (!pointed) return setText(readout, HINT);
    cross.setAttribute("cx", LAST * pointed[0]);
    cross.setAttribute("cy", LAST * (1 - pointed[1]));
    const lights = plane.lightsAt(pointed);
    return setText(readout, `${plane.inWords(lights)}: ${decisionAt(lights)}`);
  }

  // A mark for each place and outcome of the rows; it is pale if their further lights differ from the map's.
  function showMarks() {
    marked = stage.setup;
    const { lights, outcomes } = marked;
    const rows = new Map();
    lights.forEach((row, i) => {
      const place = plane.placeOf(row);
      const spot = place.map((part) => Math.round(MARK_SPOTS * part));
      const key = `${spot} ${outcomes[i]}`;
      rows.set(key, { place, spot, outcome: outcomes[i], isHere: plane.has(row) || Boolean(rows.get(key)?.isHere) });
    });
    marks.replaceChildren(...[...rows.values()].map(({ place, spot, outcome, isHere }) => {
      const isShared = rows.has(`${spot} ${1 - outcome}`); // by the other outcome, so both move aside
      const x = LAST * place[0] + (isShared ? (outcome ? 1 : -1) : 0);
      return svgElement("path", {
        d: outcome ? "M-.8-1L1 0L-.8 1Z" : "M-.8-.8H.8V.8H-.8Z",
        class: `${outcomeName(outcome)}${isHere ? "" : " elsewhere"}`,
        transform: `translate(${x} ${LAST * (1 - place[1])})`,
      });
    }));
  }

  function draw() {
    if (stage.setup.lights !== shownLights) setLights(stage.setup.lights);
    const places = Array.from({ length: SIZE }, (_, i) => i / LAST);
    const grid = places.map((down) => places.map((part) => layersAt(plane.lightsAt([part, 1 - down]))));
    const scores = grid.map((row) => row.map((layers) => layers.at(-1)[0]));
    drawGrid(canvas, scores.map((row) => row.map((score) => 2 * (score - THRESHOLD))), "--stop-fill", "--walk-fill");
    line.setAttribute("d", contour(scores, THRESHOLD));
    if (marked !== stage.setup) showMarks();
    showPoint();
    hidden.draw(grid);
    if (!isMoving(stage)) plot.setAttribute("aria-label", inWords());
  }

  function planeChanged() {
    marked = null;
    stage.changed();
  }

  // The map in words: the scores at its corners.
  function inWords() {
    const { axes, others, values } = plane;
    const fixed = others.length ? ` with ${plane.inWords(values, others)}` : "";
    const corners = plane.corners.map((lights) => `${plane.inWords(lights, axes)}: ${decisionAt(lights)}`);
    return `The score over ${axes.map((axis) => plane.names[axis]).join(" and ")}${fixed}. ${corners.join("; ")}.`;
  }

  setLights(stage.setup.lights);
  plot.setAttribute("aria-label", inWords());
  drawWhenVisible(stage, container, draw);
  onColourChange(draw);
  remember("map", () => plane.text, (text) => {
    plane = null;
    setLights(stage.setup.lights);
    plane.read(text);
    showControls();
    planeChanged();
  });
}
