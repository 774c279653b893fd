// The retraining jobs of everyone: the newest in a list, and the progress and result of one.
//
// The event stream reports each change of a job, without its curve; verdict.js shows the result.

import { callApi } from "../shared/api.js";
import { byId, element, hide, table } from "../shared/dom.js";
import { act, say, saidOf } from "../shared/feedback.js";
import { formatNumber } from "../shared/numbers.js";
import { drawCurves } from "./curves.js";
import { showVerdict } from "./verdict.js";

const SHOWN = 6;
const KEPT = 100;

const jobs = new Map();
const waiting = new Map(); // by the id of a job: functions that wait for its end
const curves = new Map(); // by the id of a job: {seed, points} of the current run
let chosen = null; // the job that the user chose or started; otherwise the newest is shown

const isFinished = (job) => !["queued", "running"].includes(job.state);

// Take a job as the event stream or a response reports it.
export function updateJob(job) {
  if (jobs.get(job.id)?.revision > job.revision) return;
  jobs.set(job.id, job);
  addPoint(job);
  forgetOldJobs();
  if (isFinished(job)) {
    for (const resolve of waiting.get(job.id) ?? []) resolve(job);
    waiting.delete(job.id);
  }
  showJobs();
}

// Read the jobs again that may have ended unseen: a new stream reports only the last ten that have.
export async function readUnfinishedJobs() {
  for (const { id } of [...jobs.values()].filter((job) => !isFinished(job))) {
    await callApi("GET", `jobs/${id}`).then(updateJob, () => {}); // the next stream tries again
  }
}

// Show a job until the user chooses another.
export function chooseJob(job) {
  chosen = job.id;
  updateJob(job);
}

// Return the job when it has ended.
export function waitForJob(id) {
  return new Promise((resolve) => {
    const job = jobs.get(id);
    if (job && isFinished(job)) resolve(job);
    else waiting.set(id, [...(waiting.get(id) ?? []), resolve]);
  });
}

export const cancelJob = (id, options) => callApi("DELETE", `jobs/${id}`, { curl: "retrain", ...options }).then(updateJob);

function forgetOldJobs() {
  for (const id of jobs.keys()) {
    if (jobs.size <= KEPT) break;
    jobs.delete(id);
    curves.delete(id);
  }
}

function addPoint({ id, progress, ...job }) {
  if (!progress) return;
  const known = curves.get(id);
  if (progress.curve?.length) curves.set(id, { seed: progress.seed, points: progress.curve, complete: isFinished(job) });
  else if (known?.seed !== progress.seed) curves.set(id, { seed: progress.seed, points: [[progress.iteration, progress.error]] });
  else if (!known.complete && progress.iteration > known.points.at(-1)[0]) known.points.push([progress.iteration, progress.error]);
}

function showJobs() {
  const newest = [...jobs.values()].sort((a, b) => b.id - a.id).slice(0, SHOWN);
  const shown = jobs.get(chosen) ?? newest[0];
  byId("no-job").hidden = Boolean(shown);
  byId("job-table").hidden = !shown;
  byId("job-result").hidden = !shown;
  if (!shown) return;
  table(byId("job-table"), ["job", "learns from", "state", "result"], newest.map((job) => ({
    key: job.id,
    kind: job.id === shown.id ? "now" : null,
    cells: [
      element("button", {
        type: "button", "aria-pressed": String(job.id === shown.id), "aria-label": `show job ${job.id}`, onclick: () => chooseJob(jobs.get(job.id)),
      }, String(job.id)),
      job.data.dataset ?? (job.data.source === "rows" ? `${job.data.rows} rows` : "ledger"),
      job.cancel_requested && !isFinished(job) ? "cancelling" : job.state,
      job.version ? `version ${job.version}${job.promoted ? ", promoted" : ", not promoted"}` : job.error ?? "",
    ],
  })));
  showJob(shown);
}

function showJob(job) {
  const { id, progress, recipe } = job;
  const run = progress && recipe.restarts && progress.restart ? `, run ${progress.restart + 1} of at most ${recipe.restarts + 1}` : "";
  byId("job").textContent = `Job ${id} ${job.state}${job.state === "queued" ? ": it waits for a trainer" : ""}`
    + (progress ? `: seed ${progress.seed}${run}, pass ${progress.iteration}, error ${formatNumber(progress.error)}` : "");
  const bar = byId("job-progress");
  bar.max = recipe.iterations;
  if (progress) bar.value = progress.iteration;
  else bar.removeAttribute("value");
  const cancel = byId("cancel");
  hide(cancel, job.cancel_requested || isFinished(job), byId("start"));
  byId("job-running").hidden = isFinished(job);
  cancel.onclick = () => act(cancel, async (signal) => {
    await cancelJob(id, { signal });
    return isFinished(jobs.get(id)) ? "" : `Job ${id} is being cancelled.`;
  });
  if (isFinished(job)) say(saidOf(cancel), "");
  drawCurves(byId("job-curve"), [{ name: progress ? `seed ${progress.seed}` : "", points: curves.get(id)?.points ?? [] }]);
  showVerdict(isFinished(job) ? job : {});
  if (isFinished(job) && progress && !curves.get(id)?.complete) loadCurve(id);
}

async function loadCurve(id) {
  curves.set(id, { ...curves.get(id), complete: true }); // it is requested once
  updateJob(await callApi("GET", `jobs/${id}`).catch(() => jobs.get(id)));
}
