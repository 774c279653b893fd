// Retraining: the recipe form, the progress of the job, and the verdict on the new version.

import { attempt, callApi } from "./api.js";
import { bindForm } from "./address.js";
import { drawCurves } from "./curves.js";
import { byId, element, formatLights, formatNumber } from "./dom.js";

const FINISHED = new Set(["succeeded", "failed", "cancelled"]);

export function setUpRetraining(onChange) {
  bindForm(byId("recipe"));
  byId("recipe").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      const values = Object.fromEntries(new FormData(event.target));
      const { hidden_size, batch_size, ...rest } = values;
      const body = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, Number(value)]));
      body.hidden_sizes = [Number(hidden_size)];
      body.batch_size = batch_size ? Number(batch_size) : null;
      follow(await callApi("POST", "retrain", { body, curl: "retrain" }), onChange);
    });
  });
}

function follow({ id }, onChange) {
  const cancel = byId("cancel");
  byId("verdict").replaceChildren();
  cancel.hidden = false;
  cancel.onclick = () => attempt(() => callApi("DELETE", `jobs/${id}`, { curl: "retrain" }));
  const events = new EventSource(`jobs/${id}/events`);
  events.addEventListener("job", (event) => {
    const job = JSON.parse(event.data);
    showJob(job);
    if (!FINISHED.has(job.state)) return;
    events.close();
    cancel.hidden = true;
    showVerdict(job);
    attempt(onChange);
  });
}

function showJob(job) {
  const { progress } = job;
  const details = progress ? `: seed ${progress.seed}, iteration ${progress.iteration}, error ${formatNumber(progress.error)}` : "";
  byId("job").textContent = `Job ${job.id} ${job.state}${details}`;
  if (progress) drawCurves(byId("curve"), [{ points: progress.curve }]);
}

function showVerdict(job) {
  const lines = [];
  if (job.error) lines.push(job.error);
  if (job.version) lines.push(`Version ${job.version} ${job.promoted ? "is live now" : "was not promoted"}.`);
  lines.push(...(job.verdict?.reasons ?? []));
  for (const change of job.verdict?.changes ?? []) {
    lines.push(`${formatLights(change.lights)}: was ${change.was}, now ${change.now}`);
  }
  const more = job.verdict ? job.verdict.changed - job.verdict.changes.length : 0;
  if (more) lines.push(`and ${more} more light states`);
  byId("verdict").replaceChildren(...lines.map((line) => element("li", {}, line)));
}
