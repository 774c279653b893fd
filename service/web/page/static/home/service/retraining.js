// Retraining: the recipe form, the progress of the job, and the verdict on the new version.

import { attempt, callApi } from "../shared/api.js";
import { bindForm } from "../shared/address.js";
import { drawCurves } from "./curves.js";
import { byId, element, formatLights, formatNumber, formatPercent, table } from "../shared/dom.js";

const FINISHED = new Set(["succeeded", "failed", "cancelled"]);

export function setUpRetraining(onChange) {
  bindForm(byId("recipe"));
  byId("recipe").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      const values = Object.fromEntries(new FormData(event.target));
      const { hidden_size, batch_size, promote, ...rest } = values;
      const body = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, Number(value)]));
      body.hidden_sizes = [Number(hidden_size)];
      body.batch_size = batch_size ? Number(batch_size) : null;
      body.promote = promote;
      follow(await callApi("POST", "retrain", { body, curl: "retrain" }), onChange);
    });
  });
}

function follow({ id }, onChange) {
  const cancel = byId("cancel");
  showVerdict({});
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
  if (progress) drawCurves(byId("job-curve"), [{ points: progress.curve }]);
}

function showVerdict(job) {
  const lines = [];
  if (job.error) lines.push(job.error);
  if (job.version) lines.push(`Version ${job.version} ${job.promoted ? "is live now" : "was not promoted"}.`);
  lines.push(...(job.verdict?.reasons ?? []));
  for (const change of job.verdict?.changes ?? []) {
    const observed = change.observed == null ? "" : `; observations: ${change.observed}`;
    lines.push(`${formatLights(change.lights)}: was ${change.was}, now ${change.now}${observed}`);
  }
  const more = job.verdict ? job.verdict.changed - job.verdict.changes.length : 0;
  if (more) lines.push(`and ${more} more light states`);
  byId("verdict").replaceChildren(...lines.map((line) => element("li", {}, line)));
  showExam(job);
}

// The result of both versions on the exam, and the table of the observations that each has right.
function showExam({ version, verdict }) {
  const exam = verdict?.exam;
  byId("exam-table").replaceChildren();
  if (!exam) {
    byId("exam").textContent = verdict ? `Judged on the training data: ${verdict.why_no_exam}.` : "";
    return;
  }
  const { both_right, only_champion, only_challenger, both_wrong } = exam;
  const total = both_right + only_champion + only_challenger + both_wrong;
  const result = (number, { accuracy, interval }) =>
    `Version ${number} has ${formatPercent(accuracy)} right (95 % interval: ${interval.map(formatPercent).join(" to ")}).`;
  byId("exam").textContent = [
    `Judged on ${total} observations that neither version has learnt from.`,
    result(verdict.against, exam.champion), result(version, exam.challenger),
    `McNemar's test: p = ${formatNumber(exam.p)}.`,
  ].join(" ");
  table(byId("exam-table"), ["version", `${version} right`, `${version} wrong`], [
    { cells: [`${verdict.against} right`, both_right, only_champion] },
    { cells: [`${verdict.against} wrong`, only_challenger, both_wrong] },
  ]);
}
