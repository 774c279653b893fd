// The proof that the browser's weights are the service's: the curl command, and the comparison.

import { fitBody } from "../learning/requests.js";
import { callApi } from "../shared/api.js";
import { showCurl } from "../shared/curl.js";
import { element } from "../shared/dom.js";
import { button, setText } from "./fields.js";

export function createProof(stage, container) {
  const compare = button("Compare with the service", () => comparison());
  const result = element("p", { id: "compared", role: "status", class: "said" });
  const curl = element("div", { class: "curl", "data-curl": "proof" });
  const sentence = element("p");
  container.append(element("h3", {}, "The same weights from the service"), sentence, curl, element("div", { class: "buttons" }, compare, result));

  let shown; // the weights for which the command is shown
  stage.subscribe(() => {
    if (stage.playing || stage.phase.name !== "rest" || stage.experiment.weights === shown?.weights && stage.setup === shown.setup) return;
    shown = { weights: stage.experiment.weights, setup: stage.setup };
    const body = fitBody(stage.experiment);
    compare.disabled = !body;
    setText(result, "");
    setText(sentence, body ? "The browser trained this network. The service computes the same weights, to the last bit:"
      : "After the first step, the command that computes the same weights on the service appears here.");
    if (body) showCurl("proof", "POST", "fit", body);
    else curl.replaceChildren();
  });

  async function comparison() {
    const { experiment } = stage;
    const { weights, diverged } = experiment;
    compare.disabled = true;
    setText(result, "Comparing …");
    result.classList.remove("error");
    let sentence;
    try {
      const { network } = await callApi("POST", "fit", { body: fitBody(experiment) });
      sentence = differenceOf(weights, network.weights);
    } catch (error) {
      sentence = diverged && error.message.includes(diverged) ? "Identical: the service's training diverges in the same pass." : error.message;
    }
    // The comparison is of weights that may be past.
    if (experiment !== stage.experiment || weights !== stage.experiment.weights) return;
    setText(result, sentence);
    result.classList.toggle("error", !sentence.startsWith("Identical"));
    compare.disabled = false;
  }
}

function differenceOf(weights, named) {
  let count = 0;
  for (const [d, matrix] of weights.entries()) {
    const name = `weights_${d}_${d + 1}`;
    for (const [i, row] of matrix.entries()) {
      for (const [j, weight] of row.entries()) {
        const other = named[name][i][j];
        if (other !== weight) return `${name}[${i}][${j}] differs: ${weight} in the browser, ${other} in the service.`;
        count += 1;
      }
    }
  }
  return `Identical to the last bit: all ${count} weights.`;
}
