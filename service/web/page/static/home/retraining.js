// Retraining: the recipe, the error as it falls, and what the gate says.

import { ask, attempt } from "./api.js";
import { keepForm } from "./address.js";
import { drawCurves } from "./curves.js";
import { byId, element, number, spelled } from "./dom.js";

const FINAL = new Set(["succeeded", "failed", "cancelled"]);

export function listenToTeachers(changed) {
  keepForm(byId("recipe"));
  byId("recipe").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      const given = Object.fromEntries(new FormData(event.target));
      const { hidden_size, batch_size, ...rest } = given;
      const body = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, Number(value)]));
      body.hidden_sizes = [Number(hidden_size)];
      body.batch_size = batch_size ? Number(batch_size) : null;
      follow(await ask("POST", "retrain", { body, curl: "retrain" }), changed);
    });
  });
}

function follow({ id }, changed) {
  const cancel = byId("cancel");
  byId("verdict").replaceChildren();
  cancel.hidden = false;
  cancel.onclick = () => attempt(() => ask("DELETE", `jobs/${id}`, { curl: "retrain" }));
  const events = new EventSource(`jobs/${id}/events`);
  events.addEventListener("job", (event) => {
    const job = JSON.parse(event.data);
    showJob(job);
    if (!FINAL.has(job.state)) return;
    events.close();
    cancel.hidden = true;
    showVerdict(job);
    attempt(changed);
  });
}

function showJob(job) {
  const at = job.progress;
  const how = at ? `: seed ${at.seed}, iteration ${at.iteration}, error ${number(at.error)}` : "";
  byId("job").textContent = `Job ${job.id} ${job.state}${how}`;
  if (at) drawCurves(byId("curve"), [{ points: at.curve }]);
}

function showVerdict(job) {
  const lines = [];
  if (job.error) lines.push(job.error);
  if (job.version) lines.push(`Version ${job.version} ${job.promoted ? "is live now" : "was not promoted"}.`);
  lines.push(...(job.verdict?.reasons ?? []));
  for (const change of job.verdict?.changes ?? []) {
    lines.push(`${spelled(change.lights)}: was ${change.was}, now ${change.now}`);
  }
  byId("verdict").replaceChildren(...lines.map((line) => element("li", {}, line)));
}
