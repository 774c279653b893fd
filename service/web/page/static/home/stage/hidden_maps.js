// The small maps of the heat map: the value of each hidden node over the same two lights.

import { element } from "../shared/dom.js";
import { shortNumber } from "../shared/numbers.js";
import { setText } from "./fields.js";
import { drawGrid } from "./heat_colours.js";
import { nodeName } from "./names.js";

// More maps are smaller, with their captions as tooltips.
const MAX_CAPTIONS = 4;

// Return the element, and `draw`, which takes the layers at each point of the grid.
export function createHiddenMaps(stage) {
  const box = element("div", { class: "hidden-maps", role: "group", tabindex: 0, "aria-label": "The values of the hidden nodes over the same lights" });
  let maps = [];
  let shownSizes;

  function setSizes(sizes) {
    shownSizes = sizes.join();
    maps = sizes.flatMap((size, d) => Array.from({ length: size }, (_, node) => createMap(d + 1, node)));
    box.replaceChildren(...maps.map(({ figure }) => figure));
    box.hidden = !maps.length;
    box.classList.toggle("compact", maps.length > MAX_CAPTIONS);
  }

  // Pointing at a map points at its node in the drawing of the network.
  function createMap(layer, node) {
    const canvas = element("canvas", { "aria-hidden": "true" });
    const values = element("span");
    const figure = element("figure", {
      onpointerenter: () => stage.setFocus({ kind: "node", layer, node }), onpointerleave: () => stage.setFocus(null),
    }, canvas, element("figcaption", {}, nodeName(layer, node), element("br"), values));
    return { layer, node, canvas, values, figure };
  }

  function draw(grid) {
    const sizes = stage.weights.slice(0, -1).map((matrix) => matrix[0].length);
    if (sizes.join() !== shownSizes) setSizes(sizes);
    for (const { layer, node, canvas, values, figure } of maps) {
      const nodes = grid.map((row) => row.map((layers) => layers[layer][node]));
      const all = nodes.flat();
      const [lowest, highest] = [Math.min(...all), Math.max(...all)];
      const largest = Math.max(highest, -lowest) || 1;
      drawGrid(canvas, nodes.map((row) => row.map((value) => value / largest)), "--negative-fill", "--positive");
      const range = lowest === 0 && highest === 0 ? "off" : `${shortNumber(lowest)}…${shortNumber(highest)}`;
      setText(values, range);
      figure.title = `${nodeName(layer, node)}: ${range}`;
      const { focus } = stage;
      figure.classList.toggle("focused", focus?.kind === "node" && focus.layer === layer && focus.node === node);
    }
  }

  return { box, draw };
}
