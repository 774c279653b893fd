// The player: play and pause, one step, one pass, start again, speed and seed.

import { element } from "../shared/dom.js";
import { button, errorPlace, labelled, setText, textField } from "./fields.js";
import { SPEEDS } from "./stage.js";

// What one step learns, as singular and plural.
const unit = ({ setup }) => (setup.batchSize === 1 ? ["row", "rows"] : ["batch", "batches"]);

function speedInWords(stage) {
  const { steps, passes } = SPEEDS[stage.speed];
  if (passes) return `${passes.toLocaleString("en")} passes a second`;
  const [one, many] = unit(stage);
  return steps < 1 ? `1 ${one} in ${1 / steps} seconds` : `${steps} ${steps === 1 ? one : many} a second`;
}

export const USUAL_SPEED = 2;

export function createPlayer(stage, container, remember) {
  remember("speed", () => (stage.speed === USUAL_SPEED ? "" : String(stage.speed)),
    (text) => stage.setSpeed(/^\d$/.test(text) && text in SPEEDS ? Number(text) : USUAL_SPEED));
  const play = button("", () => (stage.playing ? stage.pause() : stage.play()), { class: "main", title: "Space" });
  const step = button("", () => stage.step(), { title: "Right arrow key" });
  const pass = button("One pass", () => stage.pass(), { title: "Shift and right arrow key" });
  const again = button("↺ Start again", () => stage.reset());
  const speed = element("input", {
    type: "range", min: 0, max: SPEEDS.length - 1, "aria-label": "speed", oninput: () => stage.setSpeed(speed.valueAsNumber),
  });
  const words = element("output", { class: "small" });
  const seed = textField("seed", { form: "setup", size: 6, placeholder: "by hand", title: "The seed of the random start weights" });
  container.append(
    element("div", { class: "buttons" }, play, step, pass, again),
    element("div", { class: "speed" }, speed, words),
    element("div", { class: "field" }, labelled("seed", seed), errorPlace("seed")));
  stage.subscribe(() => {
    setText(play, stage.playing ? "❚❚ Pause" : "▶ Play");
    setText(step, stage.setup.batchSize === 1 ? "One row" : stage.experiment.batches.length === 1 ? "All rows" : "One batch");
    setText(words, speedInWords(stage));
    if (speed.valueAsNumber !== stage.speed) speed.value = stage.speed;
    speed.setAttribute("aria-valuetext", words.textContent);
  });
}
