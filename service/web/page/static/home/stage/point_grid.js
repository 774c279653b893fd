// A grid over two lights, with the rows as points; a click adds a row there.
//
// The other lights, and the outcome, are those of the form that adds a row, which does the same by
// keyboard.

import { element, svgElement } from "../shared/dom.js";
import { lightNames } from "../shared/light_names.js";
import { valueOfOn } from "./data_table.js";
import { labelled, numberFrom, option } from "./fields.js";

const SIZE = 180;
const MARGIN = 10;
const STEPS = 10;

// inputs() returns the form's fields of the lights, outcome() its outcome.
export function createPointGrid(stage, container, inputs, outcome, addRow) {
  const across = element("select", { onchange: () => draw() });
  const up = element("select", { onchange: () => draw() });
  const svg = svgElement("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, class: "point-grid", role: "img", onclick: click });
  container.append(element("p", { class: "small" }, "Or click where two lights were seen:"), svg,
    element("div", { class: "buttons" }, labelled("across", across), labelled("up", up)));

  let on; // the value of a light that is on
  const place = (value) => MARGIN + (value / on) * (SIZE - 2 * MARGIN);

  function click(event) {
    const { left, top, width, height } = svg.getBoundingClientRect();
    const snapped = (share) => {
      const step = Math.round(((share * SIZE - MARGIN) / (SIZE - 2 * MARGIN)) * STEPS);
      return Number((Math.min(Math.max(step, 0), STEPS) * on / STEPS).toPrecision(12));
    };
    const row = inputs().map((input) => numberFrom(input.value));
    row[across.value] = snapped((event.clientX - left) / width);
    if (!up.parentElement.hidden) row[up.value] = snapped(1 - (event.clientY - top) / height);
    addRow(row, outcome());
  }

  function point(row, isWalk) {
    const x = place(row[across.value]);
    const y = up.parentElement.hidden ? SIZE / 2 : SIZE - place(row[up.value]);
    return isWalk ? svgElement("circle", { cx: x, cy: y, r: 5, class: "walk-point" })
      : svgElement("rect", { x: x - 4.5, y: y - 4.5, width: 9, height: 9, class: "stop-point" });
  }

  function draw() {
    const { lights, outcomes } = stage.setup;
    const lines = Array.from({ length: STEPS + 1 }, (_, i) => MARGIN + (i / STEPS) * (SIZE - 2 * MARGIN)).map((at) =>
      svgElement("path", { d: `M${at} ${MARGIN}V${SIZE - MARGIN}M${MARGIN} ${at}H${SIZE - MARGIN}` }));
    svg.replaceChildren(...lines, ...lights.slice(0, 1000).map((row, i) => point(row, outcomes[i] === 1)));
    svg.setAttribute("aria-label", `${lights.length} rows over two lights: circles are walk, squares are stop`);
  }

  let shown;
  stage.subscribe(() => {
    const { setup } = stage;
    if (setup === shown) return;
    shown = setup;
    on = valueOfOn(setup);
    const names = lightNames(setup.lights[0].length);
    if (across.children.length !== names.length) {
      for (const select of [across, up]) select.replaceChildren(...names.map((name, i) => option(i, name)));
      up.value = Math.min(1, names.length - 1);
      up.parentElement.hidden = names.length === 1;
    }
    draw();
  });
}
