// The stage in the URL fragment: a link shows another reader the same network after the same steps.
//
// The fragment names the station, what differs from its setup, and the number of steps, which are made
// again. How a field of the setup is written is in setup_parameters.js. The service's half of the page
// has parameters of its own, which stay as they are.

import { SetupError, checkSetup } from "../learning/setup.js";
import { PARAMETERS } from "./setup_parameters.js";
import { STATIONS, stationOf } from "./stations.js";

// The most steps that a link makes again, and the time for them in a frame, in milliseconds.
const MAX_STEPS = 300_000;
const FRAME_BUDGET = 8;
// The delay from a change until the fragment is written, in milliseconds: browsers limit how often.
const DELAY = 200;

const parameters = () => new URLSearchParams(location.hash.slice(1));
const isSame = (a, b) => JSON.stringify(a) === JSON.stringify(b);

// Read the fragment, and follow it from now on. `notify` shows a sentence beside the network. Return
// `remember(name, get, set)`, which keeps the value of a view in the parameter `name`: get() returns its
// text, "" for the usual value, and set(text) is called with the text of a link.
export function createAddress(stage, notify) {
  const remembered = [{ name: "row", get: chosenRow, set: (text) => stage.setRow(/^[1-9]\d*$/.test(text) ? text - 1 : null) }];
  let known = []; // the stage's parameters in the fragment, as last written or read
  let timer = 0;
  let isReplaying = false;

  // The number of the row that is shown, if it isn't the next one to learn.
  function chosenRow() {
    const { batches, batch } = stage.experiment;
    return stage.row === batches[batch][0] ? "" : String(stage.row + 1);
  }

  // The parameters of what the stage shows now.
  function current() {
    const { setup, experiment } = stage;
    const station = stationOf(stage);
    const changed = Object.entries(PARAMETERS).filter(([, { fields }]) => fields.some((field) => !isSame(setup[field], station.setup[field])));
    return [
      ["station", station.slug],
      ...changed.map(([name, { write }]) => [name, write(setup)]),
      ["steps", experiment.steps + (experiment.diverged ? 1 : 0) || ""], // the step that diverges is not counted
      ...remembered.map(({ name, get }) => [name, get()]),
    ].filter(([, value]) => value !== "");
  }

  const names = () => ["station", "steps", ...Object.keys(PARAMETERS), ...remembered.map(({ name }) => name)];

  function inUrl() {
    const all = parameters();
    return names().filter((name) => all.has(name)).map((name) => [name, all.get(name)]);
  }

  function write() {
    timer = 0;
    if (stage.playing || stage.phase.name !== "rest" || isReplaying) return;
    if (!isSame(inUrl(), known)) return; // the reader followed a link, which is read at once
    const all = parameters();
    const station = all.get("station");
    for (const name of names()) all.delete(name);
    for (const [name, value] of current()) all.set(name, value);
    // Commas need no escape in a fragment, and unescaped they are easier to read.
    const hash = `#${all.toString().replaceAll("%2C", ",")}`;
    if (hash === location.hash) return;
    // Each station is a step of the browser's history.
    const isNew = station !== null && station !== all.get("station");
    history[isNew ? "pushState" : "replaceState"](null, "", hash);
    known = inUrl();
  }

  function read() {
    const all = parameters();
    known = inUrl();
    const problems = [];
    const attempt = (name, action) => {
      try {
        action();
      } catch (error) {
        if (!(error instanceof SetupError)) throw error;
        problems.push(`${name}${error.message.slice(error.field.length, 200)}`);
      }
    };
    const station = STATIONS.find(({ slug }) => slug === all.get("station"));
    if (!station && all.has("station")) problems.push(`station: expected one of ${STATIONS.map(({ slug }) => slug).join(", ")}`);
    let setup = { ...(station ?? STATIONS[0]).setup };
    if (all.has("start")) setup.start = null; // the station's may not fit the link's layers
    for (const [name, { read: from }] of Object.entries(PARAMETERS)) {
      if (all.has(name)) attempt(name, () => {
        const changed = { ...setup, ...from(all.get(name), setup) };
        checkSetup(changed);
        setup = changed;
      });
    }
    stage.change((station ?? STATIONS[0]).setup);
    attempt("start", () => stage.change(setup));
    for (const { name, set } of remembered) set(all.get(name) ?? "");
    const steps = Number(all.get("steps") ?? 0);
    if (!Number.isInteger(steps) || steps < 0) problems.push(`steps: expected a whole number from 0 to ${MAX_STEPS}`);
    else replay(Math.min(steps, MAX_STEPS));
    if (steps > MAX_STEPS) problems.push(`steps: only the first ${MAX_STEPS} are made`);
    if (problems.length) notify(`A part of this link was ignored. ${problems.join(". ")}.`);
  }

  // Make the steps of the link, unless the reader does something else meanwhile.
  function replay(steps) {
    const { experiment } = stage;
    isReplaying = experiment.steps < steps;
    let made = 0;
    const frame = () => {
      const end = performance.now() + FRAME_BUDGET;
      const isUndisturbed = stage.experiment === experiment && !stage.playing && experiment.steps >= made;
      while (isUndisturbed && experiment.steps < steps && !experiment.diverged && performance.now() < end) {
        stage.skip(Math.min(100, steps - experiment.steps));
      }
      made = experiment.steps;
      isReplaying = isUndisturbed && made < steps && !experiment.diverged;
      if (isReplaying) requestAnimationFrame(frame);
    };
    frame();
  }

  read();
  window.addEventListener("hashchange", () => {
    const shown = current().map(([name, value]) => [name, String(value)]);
    if (!isSame(inUrl().sort(), shown.sort())) read();
  });
  stage.subscribe(() => {
    timer ||= setTimeout(write, DELAY);
  });

  return function remember(name, get, set) {
    remembered.push({ name, get, set });
    if (parameters().has(name)) set(parameters().get(name));
    known = inUrl();
  };
}

// Let links to a part of the page scroll without replacing the fragment, which holds the state.
export function keepFragment() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    const target = link && document.getElementById(link.getAttribute("href").slice(1));
    if (!target) return;
    event.preventDefault();
    target.tabIndex = -1;
    target.focus();
    target.scrollIntoView();
  });
}
