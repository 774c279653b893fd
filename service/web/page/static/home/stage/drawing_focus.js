// Pointer and keyboard in the drawing. One node or weight is in the tab order; the arrow keys move from
// it: up and down in its column, left and right along the lines, over the weight in between.

import { formatNumber } from "../shared/numbers.js";

export function handleFocus(stage, svg) {
  let picture = null;
  let current = null; // the item in the tab order
  let focused = null; // the item with the class `focused`

  const items = () => [...picture.nodes.flat(), ...picture.weights.flat(2)];
  const itemOf = (element) => items().find(({ group }) => group === element.closest("[role=button]"));
  const hasFocus = () => current && document.activeElement === current.group;

  function select(item) {
    current?.group.setAttribute("tabindex", -1);
    current = item;
    current.group.setAttribute("tabindex", 0);
  }

  function show(item) {
    const { kind, layer, node, from, to } = item;
    stage.setFocus(kind === "node" ? { kind, layer, node } : { kind, layer, from, to });
  }

  svg.addEventListener("focusin", ({ target }) => {
    const item = itemOf(target);
    select(item);
    show(item);
  });
  svg.addEventListener("focusout", () => stage.setFocus(null));
  svg.addEventListener("pointerover", ({ target }) => {
    const item = itemOf(target);
    if (item) show(item);
  });
  svg.addEventListener("pointerout", () => (hasFocus() ? show(current) : stage.setFocus(null)));
  svg.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const next = neighbour(picture, current, event.key);
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    next?.group.focus();
  });

  // Take the elements of a new picture; move the focus to the same place, if the old ones had it.
  function attach(next, had) {
    const before = current;
    picture = next;
    const same = before && items().find(({ name }) => name === before.name);
    current = null;
    select(same ?? picture.nodes.at(-1)[0]);
    if (had) current.group.focus();
  }

  function draw() {
    const { focus } = stage;
    const item = focus && (focus.kind === "node"
      ? picture.nodes[focus.layer]?.[focus.node] : picture.weights[focus.layer]?.[focus.from]?.[focus.to]);
    focused?.group.classList.remove("focused");
    item?.group.classList.add("focused");
    focused = item;
    // While the network plays, only the name of the element in focus is kept current.
    for (const each of stage.playing ? [current] : items()) {
      const sentence = describe(each);
      if (each.sentence !== sentence) each.group.setAttribute("aria-label", each.sentence = sentence);
    }
  }

  return { attach, draw };
}

// Return the item to which a key leads, null at an end, undefined for a key that doesn't move.
function neighbour({ nodes, weights, sizes }, item, key) {
  const last = sizes.length - 1;
  const { kind, layer, node, from, to } = item;
  if (key === "Home") return nodes[0][0];
  if (key === "End") return nodes[last][0];
  const step = { ArrowUp: -1, ArrowDown: 1 }[key];
  if (kind === "node") {
    if (step) return nodes[layer][node + step] ?? null;
    if (key === "ArrowLeft") return layer ? weights[layer - 1][Math.min(node, sizes[layer - 1] - 1)][node] : null;
    if (key === "ArrowRight") return layer < last ? weights[layer][node][Math.min(node, sizes[layer + 1] - 1)] : null;
    return undefined;
  }
  if (step) return weights[layer][from + step]?.[to] ?? null;
  if (key === "ArrowLeft") return nodes[layer][from];
  if (key === "ArrowRight") return nodes[layer + 1][to];
  return undefined;
}

// Return the name and the value of an item.
function describe({ kind, name, layer, number, delta, isOff }) {
  if (kind === "weight") return `${name}: ${formatNumber(number)}`;
  const state = isOff ? "0, turned off by relu" : formatNumber(number);
  return `${name}: ${state}${layer && delta !== null ? `, delta ${formatNumber(delta)}` : ""}`;
}
