// The list of stations in the header: native radio buttons, so the arrow keys move in it.

import { element } from "../shared/dom.js";
import { STATIONS, stationOf } from "./stations.js";

export function createStationList(stage, container) {
  const inputs = STATIONS.map(({ slug, name, setup }, i) => {
    const input = element("input", { type: "radio", name: "station", value: slug, onchange: () => stage.change(setup) });
    container.append(element("label", {}, input, element("span", {}, element("b", {}, String(i + 1)), ` ${name}`)));
    return input;
  });
  let shown;
  stage.subscribe(() => {
    const { slug } = stationOf(stage);
    if (slug === shown) return;
    shown = slug;
    const input = inputs.find(({ value }) => value === slug);
    input.checked = true;
    const label = input.parentElement;
    container.scrollTo({ left: label.offsetLeft - (container.clientWidth - label.offsetWidth) / 2 });
  });
}
