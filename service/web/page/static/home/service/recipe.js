// The form of a retraining: its recipe, what it learns from, and when its version goes live.

import { bindForm } from "../shared/address.js";
import { callApi } from "../shared/api.js";
import { byId } from "../shared/dom.js";
import { act } from "../shared/feedback.js";

const NUMBERS = ["alpha", "iterations", "seed", "weight_decay", "l1_penalty", "restarts"];
// An empty field is null: all rows in a batch, any error, no early stopping.
const NULLABLE = ["batch_size", "target_error", "patience"];

function bodyOf(form) {
  const values = Object.fromEntries(new FormData(form));
  const { activation, repeats, promote, exam } = values;
  return {
    hidden_sizes: values.hidden_sizes.split(/[\s,]+/).filter(Boolean).map(Number),
    ...Object.fromEntries(NUMBERS.map((name) => [name, Number(values[name])])),
    ...Object.fromEntries(NULLABLE.map((name) => [name, values[name] === "" ? null : Number(values[name])])),
    activation, repeats, promote,
    ...(exam !== "" && { exam: Number(exam) }),
  };
}

// `onStart(job)` is called with a job that was queued.
export function setUpRecipe(onStart) {
  const form = byId("recipe");
  bindForm(form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act(byId("start"), async (signal) => {
      const job = await callApi("POST", "retrain", { body: bodyOf(form), curl: "retrain", signal });
      onStart(job);
      return `Started as job ${job.id}.`;
    });
  });
}
