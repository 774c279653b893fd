// Between the stage and the service: train the stage's setup on the server, and take the live network
// to the stage. Besides main.js, this module alone knows both halves of the page.

import { datasetName } from "../learning/datasets.js";
import { Experiment } from "../learning/experiment.js";
import { MAX_NODES, scaleOf } from "../learning/setup.js";
import { callApi } from "../shared/api.js";
import { byId } from "../shared/dom.js";
import { act, messageOf } from "../shared/feedback.js";
import { plural } from "../shared/numbers.js";
import { cancelJob, chooseJob, waitForJob } from "./jobs.js";

const MAX_LAYERS = 4;
const MAX_ROWS = 100;
// Milliseconds that the browser trains without a pause, in which the page responds.
const SLICE = 10;

// `liveVersion()` returns the row of GET /versions of the live version, if any.
export function setUpBridge(stage, liveVersion) {
  byId("train-here").addEventListener("click", ({ target }) => act(target, (...how) => train(stage, ...how)));
  byId("take-live").addEventListener("click", ({ target }) => act(target, (signal) => takeLive(stage, liveVersion(), signal)));
}

async function train(stage, signal, report) {
  const { experiment } = stage;
  const { setup } = experiment;
  if (setup.start) throw new Error("The start weights are set by hand, and the service starts with those of a seed: choose a seed first.");
  const scale = scaleOf(setup.lights);
  if (experiment.scale !== scale) throw new Error(`The scale is ${experiment.scale}, and the service divides the lights by the largest, ${scale}.`);
  // The passes that the stage has finished, or those of its station before the first.
  const iterations = experiment.errors.length || stage.setup.iterations;
  const finished = experiment.errors.length && experiment.weightsOfPass;
  const dataset = datasetName(setup);
  const rows = setup.lights.map((lights, i) => ({ lights, outcome: setup.outcomes[i] ? "walk" : "stop" }));
  const body = {
    ...(dataset ? { dataset } : { rows }),
    hidden_sizes: setup.hiddenSizes, activation: setup.activation, alpha: setup.alpha, iterations,
    batch_size: setup.batchSize, weight_decay: setup.weightDecay, l1_penalty: setup.l1Penalty,
    seed: setup.seed, restarts: 0, target_error: null, repeats: "kept", promote: byId("train-promote").value,
  };
  const queued = await callApi("POST", "retrain", { body, curl: "bridge", signal });
  signal.addEventListener("abort", () => cancelJob(queued.id).catch((error) => report(messageOf(error))));
  chooseJob(queued);
  report(`Job ${queued.id}: its progress is below.`);
  const weights = finished || await weightsAfter(setup, iterations, signal);
  const job = await waitForJob(queued.id);
  if (!job.version) return `Job ${job.id} ${job.state}${job.error ? `: ${job.error}` : ""}.`;
  const trained = await callApi("GET", `versions/${job.version}`);
  const identical = sameBits(Object.values(trained.weights), weights);
  return `Version ${job.version}: after ${iterations === 1 ? "1 pass" : `${iterations} passes`}, its weights are `
    + `${identical ? "the browser's to the last bit" : "not the browser's"}. ${job.promoted ? "It is live." : "It is not live: promote it below."}`;
}

// Return the weights after as many passes.
async function weightsAfter(setup, passes, signal) {
  const experiment = new Experiment(setup);
  let start = performance.now();
  while (experiment.errors.length < passes && !experiment.diverged && !signal.aborted) {
    experiment.takeStep();
    if (performance.now() - start < SLICE) continue;
    await new Promise((resolve) => { setTimeout(resolve); });
    start = performance.now();
  }
  return experiment.weights;
}

const sameBits = (a, b) => a.length === b.length && a.every((matrix, d) =>
  matrix.every((row, i) => row.every((weight, j) => Object.is(weight, b[d][i][j]))));

async function takeLive(stage, live, signal) {
  if (!live || live.damaged) throw new Error("No version is live: promote one below.");
  const { version: n, recipe } = live;
  const widest = Math.max(live.lights, ...recipe.hidden_sizes);
  if (widest > MAX_NODES || recipe.hidden_sizes.length > MAX_LAYERS) {
    throw new Error(`Version ${n} is too large for the stage, which has at most ${MAX_NODES} lights, ${MAX_NODES} nodes a layer `
      + `and ${MAX_LAYERS} hidden layers; version ${n} has ${plural(live.lights, "light")} and `
      + `${recipe.hidden_sizes.length ? `hidden layers of ${recipe.hidden_sizes.join(", ")} nodes` : "no hidden layer"}.`);
  }
  const [{ weights, scale }, data] = await Promise.all([callApi("GET", `versions/${n}`, { curl: "bridge", signal }), rowsOf(live, signal)]);
  stage.change({
    ...data.rows, scale, hiddenSizes: recipe.hidden_sizes, activation: recipe.activation, alpha: recipe.alpha,
    batchSize: recipe.batch_size, weightDecay: recipe.weight_decay, l1Penalty: recipe.l1_penalty,
    seed: live.seed, start: Object.values(weights), iterations: recipe.iterations, compare: [], station: "your-own",
  });
  byId("stage").scrollIntoView();
  return `The stage starts with the weights of version ${n}, and has ${data.name}.`;
}

// The training rows of a version. A row that stands for observations with both outcomes has no single
// outcome; then the observations of the ledger are the data.
async function rowsOf(live, signal) {
  const { rows, total_rows: total } = await callApi("GET", `versions/${live.version}/pressure?limit=${MAX_ROWS}`, { signal });
  if (rows.every(({ outcome }) => outcome === 0 || outcome === 1)) {
    return {
      name: total > rows.length ? `the first ${rows.length} of its ${total} training rows` : `its ${plural(total, "training row")}`,
      rows: { lights: rows.map((row) => row.lights), outcomes: rows.map((row) => row.outcome) },
    };
  }
  const { observations } = await callApi("GET", `observations?limit=${MAX_ROWS}`, { signal });
  const usable = observations.filter((row) => !row.withdrawn && row.lights.length === live.lights);
  return {
    name: `${plural(usable.length, "observation")} of the ledger`,
    rows: { lights: usable.map((row) => row.lights), outcomes: usable.map((row) => Number(row.outcome === "walk")) },
  };
}
