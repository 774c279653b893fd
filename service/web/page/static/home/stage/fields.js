// The controls of the stage's forms: text fields with the place of their error.

import { element } from "../shared/dom.js";

// Return a number, or the text if it is none, which the check of the setup reports.
export function numberFrom(text) {
  const trimmed = text.trim();
  return trimmed === "" ? "nothing" : Number.isNaN(Number(trimmed)) ? trimmed : Number(trimmed);
}

export const option = (value, label = value) => element("option", { value }, label);

export const button = (name, onclick, attributes) => element("button", { type: "button", onclick, ...attributes }, name);

// A text field whose error is shown in the element `error-NAME`.
export const textField = (name, attributes) =>
  element("input", { name, inputmode: "decimal", autocomplete: "off", "aria-describedby": `error-${name}`, ...attributes });

export const errorPlace = (name) => element("span", { id: `error-${name}`, class: "said error" });

export const labelled = (label, ...controls) => element("label", {}, element("span", {}, label), ...controls);

// Replace a node's text only if it changed, so that a screen reader doesn't repeat it.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
