// The table of the rows: click a light to switch it, an outcome to turn it round.
//
// It is a grid with one tab stop, in which the arrow keys move.

import { scaleOf } from "../learning/setup.js";
import { element } from "../shared/dom.js";
import { lightNames } from "../shared/light_names.js";
import { formatNumber } from "../shared/numbers.js";
import { button } from "./fields.js";

// More rows are in the experiment, but not in the table.
const MAX_SHOWN = 50;

// The value of a light that is on.
export const valueOfOn = ({ lights }) => scaleOf(lights);

// `take(overrides, sentence)` changes the setup and says what was done.
export function createDataTable(stage, box, take) {
  const table = element("table", { role: "grid", "aria-label": "The rows", class: "data-table" });
  const more = element("p", { class: "small soft" });
  box.append(table, more);
  let position = [0, 0]; // of the tab stop: row and column
  const cell = ([row, column]) => table.tBodies[0]?.rows[row]?.cells[column]?.querySelector("button");

  table.addEventListener("keydown", (event) => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    focusOn([position[0] + move[0], position[1] + move[1]]);
  });
  table.addEventListener("focusin", ({ target }) => {
    const { parentElement: { cellIndex, parentElement: { sectionRowIndex } } } = target;
    setTabStop([sectionRowIndex, cellIndex]);
  });

  function setTabStop(to) {
    cell(position)?.setAttribute("tabindex", -1);
    position = to;
    cell(position)?.setAttribute("tabindex", 0);
  }

  function focusOn(to) {
    cell(to)?.focus();
  }

  const put = (list, i, value) => list.map((old, j) => (i === j ? value : old));
  const without = (list, i) => list.filter((_, j) => i !== j);

  function rowOf(lights, outcome, r, names) {
    const { setup } = stage;
    const light = (value, i) => button(formatNumber(value), () => take(
      { lights: put(setup.lights, r, put(lights, i, value ? 0 : valueOfOn(setup))) }, `Row ${r + 1}: ${names[i]} is ${value ? "off" : "on"}.`),
    { class: value ? "lit" : "", "aria-label": `row ${r + 1}, ${names[i]}: ${formatNumber(value)}` });
    const decision = button(outcome ? "walk" : "stop", () => take(
      { outcomes: put(setup.outcomes, r, 1 - outcome) }, `Row ${r + 1}: ${outcome ? "stop" : "walk"}.`),
    { class: outcome ? "walk-text" : "stop-text", "aria-label": `row ${r + 1}, people: ${outcome ? "walk" : "stop"}` });
    const remove = button("×", () => take(
      { lights: without(setup.lights, r), outcomes: without(setup.outcomes, r) }, `Row ${r + 1} removed.`),
    { "aria-label": `remove row ${r + 1}`, disabled: setup.lights.length === 1 });
    const buttons = [...lights.map(light), decision, remove];
    for (const one of buttons) one.tabIndex = -1;
    return element("tr", {}, ...buttons.map((one) => element("td", {}, one)));
  }

  let shown;
  stage.subscribe(() => {
    const { lights, outcomes } = stage.setup;
    if (shown?.lights === lights && shown.outcomes === outcomes) return;
    shown = stage.setup;
    const hasFocus = table.contains(document.activeElement);
    const names = lightNames(lights[0].length);
    table.replaceChildren(
      element("thead", {}, element("tr", {}, ...[...names, "people", "remove"].map((name) => element("th", { scope: "col" }, name)))),
      element("tbody", {}, ...lights.slice(0, MAX_SHOWN).map((row, r) => rowOf(row, outcomes[r], r, names))));
    more.textContent = lights.length > MAX_SHOWN ? `… and ${lights.length - MAX_SHOWN} more rows` : "";
    setTabStop([Math.min(position[0], lights.length - 1, MAX_SHOWN - 1), Math.min(position[1], lights[0].length + 1)]);
    if (hasFocus) focusOn(position);
  });
}
