// Single-key shortcuts, the dialog that lists them, and the switch that turns them off.

import { element } from "../shared/dom.js";
import { button } from "./fields.js";
import { memory } from "./memory.js";
import { STATIONS } from "./stations.js";

const LIST = [
  ["Space", "play, pause"],
  ["→", "one step"],
  ["Shift →", "one pass"],
  ["1 … 9, 0", "station 1 … 10"],
  ["?", "this list"],
];
const OFF = "keys-off";
// Controls that use all keys, the space key or the arrow keys themselves.
const OWN_KEYS = "input:not([type='radio'], [type='range'], [type='checkbox']), select, textarea";
const OWN_SPACE = "button, summary, [type='checkbox']";
const OWN_ARROWS = "input, svg, canvas, code, .scroll, [role='grid'], [role='tab']";

export function createKeys(stage, container) {
  const isOn = element("input", { type: "checkbox", onchange: () => memory.set(OFF, isOn.checked ? "" : "1") });
  isOn.checked = !memory.get(OFF);
  const dialog = element("dialog", { id: "keys", "aria-labelledby": "keys-title" },
    element("h2", { id: "keys-title" }, "Keys"),
    element("dl", {}, ...LIST.flatMap(([key, meaning]) => [element("dt", {}, element("kbd", {}, key)), element("dd", {}, meaning)])),
    element("p", {}, element("label", {}, isOn, " single-key shortcuts are on")),
    element("form", { method: "dialog", class: "buttons" }, element("button", {}, "Close")));
  document.body.append(dialog);
  container.append(button("Keys", () => dialog.showModal(), { "aria-haspopup": "dialog" }));

  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    const isElsewhere = event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]");
    if (isElsewhere || !isOn.checked || target.closest(OWN_KEYS)) return;
    const action = actionOf(key, event, target);
    if (!action) return;
    event.preventDefault();
    action();
  });

  function actionOf(key, { shiftKey, repeat }, target) {
    if (key === "?") return () => dialog.showModal();
    if (key === " " && !target.closest(OWN_SPACE)) return () => repeat || (stage.playing ? stage.pause() : stage.play());
    if (key === "ArrowRight" && !target.closest(OWN_ARROWS)) return () => (shiftKey ? stage.pass() : stage.step());
    if (/^\d$/.test(key)) return () => stage.change(STATIONS[(Number(key) + 9) % 10].setup);
    return null;
  }
}
