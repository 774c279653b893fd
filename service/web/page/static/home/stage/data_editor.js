// The rows, to be edited: a table, a form that adds a row, a grid to click, and CSV by paste, file or drop.
//
// Any change makes the rows the reader's own, and starts the run again.

import { SetupError } from "../learning/setup.js";
import { element } from "../shared/dom.js";
import { lightNames } from "../shared/light_names.js";
import { formatLights } from "../shared/numbers.js";
import { parseCsv } from "./csv.js";
import { createDataTable } from "./data_table.js";
import { button, labelled, numberFrom, option, setText, textField } from "./fields.js";
import { createPointGrid } from "./point_grid.js";
import { stationOf } from "./stations.js";

const MAX_LIGHTS = 8;

export function createDataEditor(stage, container) {
  const said = element("p", { id: "data-said", class: "said", role: "status" });
  const own = element("p", { class: "small soft" });
  const back = button("The station's rows again", () => {
    const { lights, outcomes, scale, start, seed } = stationOf(stage).setup;
    take({ lights, outcomes, scale, start, seed }, "The station's rows are back.");
  });

  // Change the setup, and say what was done, or why not.
  function take(overrides, sentence) {
    const isOtherShape = overrides.lights && overrides.lights[0].length !== stage.setup.lights[0].length;
    try {
      // Start weights by hand fit only the lights for which they were written.
      stage.change({ ...(isOtherShape && { start: null }), ...overrides });
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      return say(error.message, true);
    }
    return say(sentence);
  }

  function say(sentence, isError = false) {
    said.classList.toggle("error", isError);
    setText(said, sentence);
  }

  const addRow = (lights, outcome) => take(
    { lights: [...stage.setup.lights, lights], outcomes: [...stage.setup.outcomes, outcome] },
    `Row ${stage.setup.lights.length + 1} added: ${formatLights(lights)}, ${outcome ? "walk" : "stop"}.`);
  const changeLights = (change, sentence) => take({ lights: stage.setup.lights.map(change) }, sentence);
  const moreLights = button("Add a light", () => changeLights((row) => [...row, 0], "Added a light, which is off in every row."));
  const fewerLights = button("Remove the last light", () => changeLights((row) => row.slice(0, -1), "Removed the last light."));

  const values = element("span", { class: "buttons" });
  const outcome = element("select", {}, option("1", "walk"), option("0", "stop"));
  const newRow = element("form", { class: "buttons", "aria-label": "Add a row", onsubmit: (event) => {
    event.preventDefault();
    addRow([...values.querySelectorAll("input")].map((input) => numberFrom(input.value)), Number(outcome.value));
  } }, values, labelled("people", outcome), element("button", {}, "Add the row"));

  const text = element("textarea", { rows: 5, cols: 28, spellcheck: "false", "aria-describedby": "data-said", placeholder: "left,middle,right,outcome\n1,0,1,stop\n0,1,1,walk" });
  const file = element("input", { type: "file", accept: ".csv,text/csv", onchange: () => takeFile(file.files[0]) });
  const takeText = (csv, name) => {
    try {
      const { lights, outcomes } = parseCsv(csv);
      take({ lights, outcomes, scale: null }, `${outcomes.length} ${outcomes.length === 1 ? "row" : "rows"} taken from ${name}.`);
    } catch (error) {
      say(`${name}: ${error.message}`, true);
    }
  };
  const takeFile = async (chosen) => chosen && takeText(await chosen.text(), chosen.name);
  container.addEventListener("dragover", (event) => event.preventDefault());
  container.addEventListener("drop", (event) => {
    event.preventDefault();
    takeFile(event.dataTransfer.files[0]);
  });

  const box = element("div", { class: "scroll", tabindex: -1 });
  createDataTable(stage, box, take);
  const grid = element("div", { class: "point-grid-box" });
  createPointGrid(stage, grid, () => [...values.querySelectorAll("input")], () => Number(outcome.value), addRow);
  container.append(element("h3", {}, "The rows"), own,
    element("div", { class: "data" },
      element("div", {}, box, element("div", { class: "buttons" }, moreLights, fewerLights, back)),
      element("div", {}, newRow, grid),
      element("div", {}, labelled("CSV", text), element("div", { class: "buttons" },
        button("Take these rows", () => takeText(text.value, "the text")), labelled("or a file, also by drop", file)))),
    said);

  let shown;
  stage.subscribe(() => {
    const { setup } = stage;
    if (setup === shown) return;
    shown = setup;
    const count = setup.lights[0].length;
    if (values.children.length !== count) {
      values.replaceChildren(...lightNames(count).map((name) => labelled(name, textField("value", { size: 4, value: 1, "aria-describedby": "data-said" }))));
    }
    moreLights.disabled = count >= MAX_LIGHTS;
    fewerLights.disabled = count === 1;
    const isOwn = !stationOf(stage).variants.some((variant) => variant.setup.lights === setup.lights && variant.setup.outcomes === setup.outcomes);
    back.hidden = !isOwn;
    own.textContent = isOwn ? `Your own rows: ${setup.lights.length}.` : "The station's rows. Change any of them: they become your own.";
  });
}
