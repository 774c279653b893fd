// The guided tour: it walks the stations, can be left, and taken up again where it was left.
//
// Its texts are in tour_steps.js.

import { element } from "../shared/dom.js";
import { button, setText } from "./fields.js";
import { memory } from "./memory.js";
import { USUAL_SPEED } from "./player.js";
import { STATIONS } from "./stations.js";
import { TOUR_STEPS } from "./tour_steps.js";

const POSITION = "tour";
const isWide = matchMedia("(min-width: 70.01rem)");

export function createTour(stage, places) {
  let position = null; // of the step that is shown
  const start = button("", () => show(rememberedPosition()), { id: "take-tour" });
  const title = element("h3", { tabindex: -1 });
  const text = element("p");
  const back = button("Back", () => show(position - 1));
  const next = button("Next", () => (position < TOUR_STEPS.length - 1 ? show(position + 1) : leave(0)), { class: "main" });
  const panel = element("aside", { id: "tour", "aria-label": "Guided tour", hidden: true },
    title, element("div", { "aria-live": "polite" }, text), element("div", { class: "buttons" }, back, next, button("Leave", () => leave(position))));
  places.start.append(start);
  places.panel.append(panel);

  const rememberedPosition = () => {
    const stored = Number(memory.get(POSITION));
    return stored in TOUR_STEPS ? stored : 0;
  };

  function show(to) {
    const isStart = position === null;
    position = to;
    memory.set(POSITION, position);
    const step = TOUR_STEPS[position];
    const station = STATIONS.find(({ slug }) => slug === step.station);
    stage.change(station.variants[step.variant ?? 0].setup);
    stage.skip((step.steps ?? 0) + (step.passes ?? 0) * stage.experiment.batches.length);
    stage.setSpeed(step.speed ?? USUAL_SPEED);
    if (step.then === "play") stage.play();
    if (step.then === "step") stage.step();
    setText(title, `Tour, step ${position + 1} of ${TOUR_STEPS.length}`);
    setText(text, step.text);
    setText(next, position === TOUR_STEPS.length - 1 ? "Finish" : "Next");
    back.disabled = position === 0;
    panel.hidden = false;
    start.hidden = true;
    pointAt(step.at);
    if (isStart) title.focus({ preventScroll: true });
    // A disabled button loses the focus.
    if (back.disabled && document.activeElement === document.body) next.focus();
  }

  function pointAt(selector) {
    document.querySelector(".pointed-at")?.classList.remove("pointed-at");
    const part = selector && document.querySelector(selector);
    part?.classList.add("pointed-at");
    // On a wide screen the whole stage fits, with this panel in it; it follows to the parts below.
    const onStage = part?.closest("#stage");
    panel.classList.toggle("away", part !== null && !onStage);
    // The part may be drawn in the next frame only.
    requestAnimationFrame(() => (isWide.matches && onStage || part)?.scrollIntoView());
  }

  function leave(at) {
    const hadFocus = panel.contains(document.activeElement);
    memory.set(POSITION, at || "");
    position = null;
    panel.hidden = true;
    pointAt(null);
    showStart();
    if (hadFocus) start.focus();
  }

  function showStart() {
    const at = rememberedPosition();
    setText(start, at ? `Go on with the tour (step ${at + 1} of ${TOUR_STEPS.length})` : "Take the guided tour");
    start.hidden = false;
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && position !== null && !document.querySelector("dialog[open]")) leave(position);
  });
  showStart();
}
