// Retraining: the recipe, the error as it falls, and what the gate says.

import { ask, attempt } from "./api.js";
import { byId, element, number, shape, spelled } from "./dom.js";

const FINAL = new Set(["succeeded", "failed", "cancelled"]);

export function listenToTeachers(changed) {
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
  if (at) drawCurve(at.curve);
}

// The error on a logarithmic scale, since it falls by powers of ten.
export function drawCurve(points) {
  const logs = points.map(([, error]) => Math.log10(Math.max(error, 1e-12)));
  const top = Math.ceil(Math.max(...logs)), bottom = Math.min(Math.floor(Math.min(...logs)), top - 1);
  const last = Math.max(points.at(-1)[0], 1);
  const x = (iteration) => 60 + (560 * iteration) / last;
  const y = (log) => 20 + (160 * (top - log)) / (top - bottom);
  const path = points.map(([iteration], i) => `${i ? "L" : "M"}${x(iteration).toFixed(1)} ${y(logs[i]).toFixed(1)}`).join(" ");
  byId("curve").replaceChildren(
    shape("path", { d: "M60 20 V180 H620", stroke: "var(--soft)", fill: "none" }),
    shape("text", { x: 52, y: 26, "text-anchor": "end" }, `1e${top}`),
    shape("text", { x: 52, y: 184, "text-anchor": "end" }, `1e${bottom}`),
    shape("text", { x: 620, y: 204, "text-anchor": "end" }, `${last} iterations`),
    shape("path", { d: path, stroke: "var(--walk)", "stroke-width": 3, fill: "none" }),
  );
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
