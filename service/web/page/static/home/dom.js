// Elements, tables and curl lines: what every part of the page is made of.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export function shape(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

export function table(target, names, rows) {
  const head = element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)));
  const body = rows.map(({ cells, kind }) =>
    element("tr", { class: kind }, ...cells.map((cell) => element("td", {}, cell))));
  target.replaceChildren(element("thead", {}, head), element("tbody", {}, ...body));
}

// A decision is told by word and sign, not by its colour alone.
export function decided(decision) {
  const sign = decision === "walk" ? "▶ " : "■ ";
  return element("span", { class: `${decision}-text` }, sign + decision);
}

export function number(value) {
  const small = value !== 0 && Math.abs(value) < 1e-3;
  return small ? value.toExponential(1) : Number(value.toPrecision(4)).toString();
}

export const arrow = (value) => `${value > 0 ? "↑" : value < 0 ? "↓" : "·"} ${number(Math.abs(value))}`;

// Every weight by its name, and how to find it in whatever has the same shape.
export const weightsOf = (matrices) => Object.entries(matrices).flatMap(([name, matrix]) =>
  matrix.flatMap((row, i) => row.map((_, j) => ({ name: `${name}[${i}][${j}]`, at: (other) => other[name][i][j] }))));

export const spelled = (lights) => lights.map(number).join(" ");

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
