// The setup of the experiment: layers, activation, alpha, batches, penalties, scale, start weights.
//
// The seed's field is in the player, and belongs to the same form. A change starts the run again.

import { SetupError } from "../learning/setup.js";
import { element } from "../shared/dom.js";
import { exactNumber } from "../shared/numbers.js";
import { errorPlace, labelled, numberFrom, option, textField } from "./fields.js";
import { createStartWeights } from "./start_weights.js";

const BATCH_SIZES = ["1", "2", "4"];

const field = (name, ...controls) => element("div", { class: "field" }, ...controls, errorPlace(name));

export function createSetupForm(stage, form) {
  const depth = element("select", { name: "depth" }, ...[0, 1, 2, 3, 4].map((n) => option(n)));
  const nodes = element("span", { class: "buttons" });
  const activation = element("select", { name: "activation" }, option("relu"), option("linear", "linear"));
  const batch = element("select", { name: "batch" }, ...BATCH_SIZES.map((n) => option(n)), option("", "all"), option("other", "other…"));
  const batchSize = textField("batchSize", { size: 4, "aria-label": "rows per update, as a number" });
  const numbers = Object.fromEntries(["alpha", "weightDecay", "l1Penalty"].map((name) => [name, textField(name, { size: 5 })]));
  const scale = textField("scale", { size: 8, placeholder: "automatic" });
  form.append(
    element("div", { class: "fields" },
      field("hiddenSizes", labelled("hidden layers", depth), element("span", { class: "label" }, "nodes"), nodes),
      field("activation", labelled("hidden nodes are", activation)),
      field("alpha", labelled("alpha", numbers.alpha)),
      field("batchSize", labelled("rows per update", batch), batchSize),
      field("weightDecay", labelled("L2", numbers.weightDecay)),
      field("l1Penalty", labelled("L1", numbers.l1Penalty))),
    element("details", {}, element("summary", {}, "Scale and start weights"),
      field("scale", labelled("scale, by which each light is divided", scale)),
      field("start", createStartWeights(stage, (start) => attempt({ start })))));

  form.addEventListener("submit", (event) => event.preventDefault());
  const onChange = ({ target }) => {
    const overrides = read(target);
    if (overrides) attempt(overrides);
  };
  form.addEventListener("change", onChange);
  form.elements.seed.addEventListener("change", onChange); // it is outside the form's element

  // Return what a changed control changes in the setup. Start weights fit only the layers for which
  // they were written.
  function read(target) {
    const { name, value } = target;
    const { hiddenSizes } = stage.setup;
    if (target === depth) return { hiddenSizes: Array.from({ length: depth.value }, (_, d) => hiddenSizes[d] ?? 4), start: null };
    if (nodes.contains(target)) return { hiddenSizes: [...nodes.children].map((node) => numberFrom(node.value)), start: null };
    if (name === "activation") return { activation: value };
    if (target === batch) {
      batchSize.hidden = value !== "other";
      if (value === "other") return batchSize.focus();
      return { batchSize: value === "" ? null : Number(value) };
    }
    if (name === "scale") return { scale: value.trim() === "" ? null : numberFrom(value) };
    if (name === "seed") return { seed: numberFrom(value), start: null };
    return { [name]: numberFrom(value) };
  }

  function attempt(overrides) {
    const wasPlaying = stage.playing;
    try {
      stage.change(overrides);
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      showError(error);
      return;
    }
    if (wasPlaying) stage.play();
  }

  // Show an error at its field, or none.
  function showError(error) {
    for (const control of document.querySelectorAll(`#setup [aria-describedby], [form="setup"]`)) {
      const place = control.getAttribute("aria-describedby");
      const isWrong = place === `error-${error?.field}`;
      control.setAttribute("aria-invalid", isWrong);
      document.getElementById(place).textContent = isWrong ? error.message : "";
    }
  }

  function fill({ setup }) {
    const { hiddenSizes } = setup;
    // Links and versions can have more layers than the list.
    if (!depth.querySelector(`[value="${hiddenSizes.length}"]`)) depth.append(option(hiddenSizes.length));
    depth.value = hiddenSizes.length;
    if (nodes.children.length !== hiddenSizes.length) {
      nodes.replaceChildren(...hiddenSizes.map((_, d) => textField("hiddenSizes", { size: 2, "aria-label": `nodes in layer_${d + 1}` })));
    }
    nodes.parentElement.classList.toggle("no-nodes", !hiddenSizes.length);
    for (const [d, node] of [...nodes.children].entries()) write(node, hiddenSizes[d]);
    activation.value = setup.activation;
    activation.disabled = !hiddenSizes.length;
    for (const [name, control] of Object.entries(numbers)) write(control, exactNumber(setup[name]));
    const isListed = setup.batchSize === null || BATCH_SIZES.includes(String(setup.batchSize));
    batch.value = isListed ? setup.batchSize ?? "" : "other";
    write(batchSize, setup.batchSize ?? "");
    batchSize.hidden = isListed;
    write(scale, setup.scale ?? "");
    write(form.elements.seed, setup.start ? "" : setup.seed);
  }

  // A field in which the reader writes keeps what is written.
  function write(control, value) {
    if (control !== document.activeElement) control.value = value;
  }

  let shown;
  stage.subscribe(() => {
    if (stage.setup === shown) return;
    shown = stage.setup;
    fill(stage);
    showError(null);
  });
}
