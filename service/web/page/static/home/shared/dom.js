// Functions that create elements and tables. curl.js shows commands, numbers.js formats numbers.

const SVG = "http://www.w3.org/2000/svg";
const FOCUSABLE = "a, button, input, select";

// What each row of a table looked like when it was made.
const looks = new WeakMap();

export const byId = (id) => document.getElementById(id);

export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svgElement(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

// Hide an element or show it; the focus goes to `next` if the element that is hidden had it.
export function hide(target, isHidden, next) {
  const hadFocus = target.contains(document.activeElement);
  target.hidden = isHidden;
  if (isHidden && hadFocus) next.focus();
}

// Show `rows` in the table `target`; a row is {cells, kind, key}, and `kind` is its CSS class.
//
// A row that looks as before keeps its element, and so the focus in it. `key` identifies a row, by
// default its place; where the row with the focus has changed, the focus stays in the row, or goes
// to the next row with a control. `state` is what a row shows besides the text of its cells.
export function table(target, names, rows) {
  if (target.dataset.names !== names.join()) {
    target.dataset.names = names.join();
    const head = element("tr", {}, ...names.map((name) => (name ? element("th", { scope: "col" }, name) : element("td"))));
    target.replaceChildren(element("thead", {}, head), element("tbody"));
  }
  const body = target.tBodies[0];
  const focused = body.contains(document.activeElement) && document.activeElement;
  const place = focused && focused.closest("tr").rowIndex - 1;
  const key = focused && focused.closest("tr").dataset.key;
  const nth = focused && [...focused.closest("tr").querySelectorAll(FOCUSABLE)].indexOf(focused);

  const before = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const after = rows.map((row, i) => {
    const cells = row.cells.map((cell, column) => element("td", { "data-name": names[column] }, cell));
    const made = element("tr", { class: row.kind, "data-key": row.key ?? i }, ...cells);
    const text = [row.kind, row.state, ...cells.map((cell) => cell.textContent)].join("|");
    const old = before.get(made.dataset.key);
    if (old && looks.get(old) === text) return old;
    looks.set(made, text);
    return made;
  });
  const kept = new Set(after);
  for (const row of before.values()) if (!kept.has(row)) row.remove();
  // Elements that stay are not moved: an element that is moved loses the focus.
  let next = body.firstChild;
  for (const row of after) {
    if (row === next) next = next.nextSibling;
    else body.insertBefore(row, next);
  }
  if (focused && !focused.isConnected) {
    const own = after.findIndex((row) => row.dataset.key === key);
    const start = own < 0 ? Math.min(place, after.length - 1) : own;
    const row = [...after.slice(Math.max(start, 0)), ...after].find((it) => it.querySelector(FOCUSABLE));
    const controls = row ? [...row.querySelectorAll(FOCUSABLE)] : [target.closest("[tabindex]")];
    (controls[nth] ?? controls.at(-1))?.focus();
  }
}

// A decision has a word and a symbol, so that it can be read without its colour.
export function decisionLabel(decision) {
  const symbol = decision === "walk" ? "▶ " : "■ ";
  return element("span", { class: `${decision}-text` }, symbol + decision);
}
