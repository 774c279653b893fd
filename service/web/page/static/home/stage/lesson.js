// The lesson beside the network: the station's question, what to look for, its variants, what happened.
//
// The guided tour in tour.js is shown in the same place.

import { element } from "../shared/dom.js";
import { isMoving } from "./drawn_when_visible.js";
import { button, setText } from "./fields.js";
import { whatHappened } from "./outcome.js";
import { STATIONS, stationOf } from "./stations.js";

// Return the places of the tour's panel and button, and `notify`, which shows a sentence until the next change of the setup.
export function createLesson(stage, container) {
  const number = element("span", { class: "soft" });
  const question = element("h2");
  const look = element("p", { class: "look" });
  const variants = element("div", { class: "variants", role: "group", "aria-label": "Variants of this station" });
  const own = element("span", { class: "own" }, "your own setup");
  const happened = element("p", { id: "happened", role: "status" });
  const notice = element("p", { id: "notice", class: "said error", role: "alert", hidden: true });
  const read = element("a", {}, "Read this station");
  const move = (by) => stage.change(STATIONS[STATIONS.indexOf(stationOf(stage)) + by].setup);
  const previous = button("‹ Previous", () => move(-1));
  const next = button("Next ›", () => move(1));
  const tour = { panel: element("div", { class: "place" }), start: element("div", { class: "place" }) };
  // On a phone, the network is between the two parts.
  container.append(
    element("div", { class: "asked" }, element("p", { class: "buttons small" }, number, read), question, notice),
    element("div", { class: "answered" }, look, variants, tour.panel, happened,
      element("div", { class: "buttons other-stations" }, previous, next), tour.start));

  let shownStation;
  let shownSetup;
  let said = {}; // the setup and the steps of the sentence on what happened
  stage.subscribe(() => {
    const station = stationOf(stage);
    if (station !== shownStation) showStation(station);
    if (stage.setup !== shownSetup) {
      notice.hidden = notice.setup !== stage.setup;
      shownSetup = stage.setup;
      station.variants.forEach(({ setup }, i) => variants.children[i].setAttribute("aria-pressed", isSame(setup, stage.setup)));
      own.hidden = variants.querySelector('[aria-pressed="true"]') !== null;
    }
    // A screen reader would read each frame's sentence. While the network moves, the last one stays, if
    // it is of this run.
    const { setup, experiment: { steps } } = stage;
    if (isMoving(stage)) {
      if (setup !== said.setup || steps < said.steps || !said.steps) setText(happened, "Learning …");
      return;
    }
    said = { setup, steps };
    setText(happened, whatHappened(stage));
  });

  function showStation(station) {
    shownStation = station;
    const i = STATIONS.indexOf(station);
    number.textContent = `Station ${i + 1} of ${STATIONS.length}`;
    question.textContent = station.question;
    look.textContent = station.look;
    read.href = `tutorial/${station.slug}`;
    previous.disabled = i === 0;
    next.disabled = i === STATIONS.length - 1;
    variants.replaceChildren(...station.variants.map(({ label, setup }) =>
      button(label, () => stage.change(setup))), own);
  }

  function notify(sentence) {
    notice.textContent = sentence;
    notice.setup = stage.setup;
    notice.hidden = false;
  }
  return { tour, notify };
}

const isSame = (a, b) => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));

const sorted = (setup) => Object.entries(setup).sort(([a], [b]) => (a < b ? -1 : 1));
