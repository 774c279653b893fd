// Functions that create elements, tables, formatted values and curl commands.

const SVG = "http://www.w3.org/2000/svg";

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

// Fill `target` with a table; a row is {cells, kind}, and `kind` is its CSS class.
export function table(target, names, rows) {
  const head = element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)));
  const body = rows.map(({ cells, kind }) =>
    element("tr", { class: kind }, ...cells.map((cell) => element("td", {}, cell))));
  target.replaceChildren(element("thead", {}, head), element("tbody", {}, ...body));
}

// A decision has a word and a symbol, so that it can be read without its colour.
export function decisionLabel(decision) {
  const symbol = decision === "walk" ? "▶ " : "■ ";
  return element("span", { class: `${decision}-text` }, symbol + decision);
}

export function formatNumber(value) {
  const isSmall = value !== 0 && Math.abs(value) < 1e-3;
  return isSmall ? value.toExponential(1) : Number(value.toPrecision(4)).toString();
}

export const formatPercent = (share) => `${formatNumber(100 * share)} %`;

// Format a change or a pressure: an arrow up or down, and the size.
export const formatChange = (value) =>
  `${value > 0 ? "↑" : value < 0 ? "↓" : "·"} ${formatNumber(Math.abs(value))}`;

// List all weights: each with its name, and `at`, which returns its value in matrices of that shape.
export const namedWeights = (all) => Object.entries(all).flatMap(([name, matrix]) =>
  matrix.flatMap((row, i) => row.map((_, j) => ({ name: `${name}[${i}][${j}]`, at: (matrices) => matrices[name][i][j] }))));

export const formatLights = (lights) => lights.map(formatNumber).join(" ");

// Show a request as a curl command, with a button that copies the command.
export function showCurl(name, method, path, body, type) {
  const url = new URL(path, document.baseURI).href;
  const parts = ["curl"];
  if (method !== "GET" && !(method === "POST" && body)) parts.push("-X", method);
  parts.push(/[?&]/.test(url) ? `'${url}'` : url);
  if (type) parts.push("-H", `'Content-Type: ${type}'`, "--data-binary", "@corner.csv");
  else if (body) parts.push("-d", `'${JSON.stringify(body)}'`);
  const code = element("code", { tabindex: 0 }, parts.join(" "));
  const copy = element("button", {
    type: "button",
    onclick: async () => {
      await navigator.clipboard.writeText(code.textContent);
      copy.textContent = "copied";
    },
  }, "copy");
  document.querySelector(`[data-curl="${name}"]`).replaceChildren(code, copy);
}
