// Sentences on what happened, computed from the stage: pass, error, and what the station is about.

import { forward, isWalk } from "../learning/network.js";
import { pressure } from "../learning/pressure.js";
import { formatNumber } from "../shared/numbers.js";
import { stationOf } from "./stations.js";

export const isRight = (experiment, row) => isWalk(experiment.score(row)) === (experiment.outcomes[row] === 1);

export function whatHappened(stage) {
  const { experiment } = stage;
  if (experiment.diverged) return `${experiment.diverged[0].toUpperCase()}${experiment.diverged.slice(1)}.`;
  if (!experiment.steps) return "Not started: press play, or take one step.";
  const station = stationOf(stage);
  const hasLabsRows = station.variants.some(({ setup }) =>
    setup.lights.length === experiment.inputs.length && setup.lights[0].length === experiment.inputs[0].length);
  const detail = hasLabsRows && experiment.errors.length ? DETAILS[station.slug]?.(stage) : "";
  return [progress(experiment), detail].filter(Boolean).join(" ");
}

function progress(experiment) {
  const { errors, steps, outcomes } = experiment;
  const right = outcomes.filter((_, row) => isRight(experiment, row)).length;
  const decided = outcomes.length === 1 ? `the row is decided ${right ? "right" : "wrong"}`
    : `${right === outcomes.length ? `all ${right}` : `${right} of ${outcomes.length}`} rows are decided right`;
  return errors.length ? `Pass ${errors.length}, error ${formatNumber(errors.at(-1))}: ${decided}.`
    : `${steps} ${steps === 1 ? "update" : "updates"} of the first pass: ${decided}.`;
}

// The three weights of a two-layer network, or the scores of all rows.
const lightWeights = ({ weights }) => (weights.length === 1 ? weights[0].map(([weight]) => weight) : null);
const scores = (experiment) => experiment.outcomes.map((_, row) => experiment.score(row));
const scoreOf = ({ weights, setup }, lights) => forward(weights, lights, setup.activation).at(-1)[0];
const listed = (numbers) => `${numbers.slice(0, -1).map(formatNumber).join(", ")} and ${formatNumber(numbers.at(-1))}`;
const weightsSentence = (experiment) => `The weights are ${listed(lightWeights(experiment))}.`;
const isLearnt = (experiment) => experiment.errors.at(-1) < 0.01 && experiment.outcomes.every((_, row) => isRight(experiment, row));

function whatIsLearnt(experiment) {
  const all = scores(experiment);
  const isSame = all.every((score) => Math.abs(score - all[0]) < 0.001);
  if (isLearnt(experiment)) return "The network learnt the rows.";
  const verb = experiment.errors.length < experiment.setup.iterations ? "has not learnt the rows so far" : "did not learn the rows";
  return `${isSame ? `Every score is ${formatNumber(all[0])}` : `The scores are ${listed(all)}`}: the network ${verb}.`;
}

function nodesOff({ inputs, weights, setup }) {
  if (setup.activation === "linear") return "";
  const layers = inputs.map((layer0) => forward(weights, layer0, setup.activation));
  const off = setup.hiddenSizes.flatMap((size, d) => Array.from({ length: size }, (_, j) => layers.filter((nodes) => nodes[d + 1][j] === 0).length));
  const always = off.filter((rows) => rows === inputs.length).length;
  return `Of ${off.length} hidden nodes, ${always} ${always === 1 ? "is" : "are"} off in every row, and ${off.filter((rows) => rows > 0 && rows < inputs.length).length} in some.`;
}

// For each station, a sentence with its own numbers after at least one pass.
const DETAILS = {
  "one-light": ({ experiment }) => `The score is ${formatNumber(experiment.score(0))}. ${weightsSentence(experiment)}`,
  "six-rows": ({ experiment }) => {
    const [left, middle, right] = lightWeights(experiment) ?? [];
    return middle === undefined ? "" : `The middle weight is ${formatNumber(middle)}, the left one ${formatNumber(left)}, the right one ${formatNumber(right)}.`;
  },
  descents: ({ others }) => `After as many passes, the error is ${
    others.map(({ label, experiment: { errors, diverged } }) => `${formatNumber(errors.at(-1) ?? Infinity)} (${label}${diverged ? ", which diverged" : ""})`).join(" and ")}.`,
  pressure: ({ experiment }) => {
    const { rows } = pressure(experiment.weights, experiment.inputs, experiment.outcomes, experiment.setup.activation);
    const pushes = (i, sign) => rows.filter((row) => Math.sign(row[0][i][0]) === sign).length;
    const ups = ["left", "middle", "right"].map((name, i) => `${name} ${pushes(i, 1)} up, ${pushes(i, -1)} down`);
    return `${weightsSentence(experiment)} Rows that push them now: ${ups.join("; ")}.`;
  },
  "two-rows": ({ experiment }) => `${weightsSentence(experiment)} A row 1 1 1, where people walk, gets the score ${
    formatNumber(scoreOf(experiment, [1, 1, 1]))}, and 0 0 1, where they stop, ${formatNumber(scoreOf(experiment, [0, 0, 1]))}.`,
  "conflicting-pressure": ({ experiment }) =>
    `The right weight went from ${formatNumber(experiment.start[0].at(-1)[0])} to ${formatNumber(lightWeights(experiment).at(-1))}, the middle one to ${formatNumber(lightWeights(experiment)[1])}.`,
  regularization: ({ experiment, others }) => [weightsSentence(experiment), ...others.map((other) =>
    `${other.label} leaves ${listed(lightWeights(other.experiment))}.`)].join(" "),
  "no-correlation": ({ experiment }) => whatIsLearnt(experiment),
  linear: ({ experiment }) => whatIsLearnt(experiment),
  relu: ({ experiment }) => `${whatIsLearnt(experiment)} ${nodesOff(experiment)}`,
  deeper: ({ experiment }) => `${whatIsLearnt(experiment)} ${nodesOff(experiment)}`,
  "your-own": ({ experiment }) => `${whatIsLearnt(experiment)}${isLearnt(experiment) ? "" : " Try more passes, another seed, or more nodes."}`,
};
