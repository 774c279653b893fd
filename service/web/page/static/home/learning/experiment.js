// `Experiment`: a network that learns rows, update by update, to the last bit as POST /fit trains it.
//
// The arithmetic of an update is in descent.js, the check of the setup in setup.js.

import { update } from "./descent.js";
import { forward } from "./network.js";
import { randomWeights } from "./random.js";
import { SetupError, checkSetup, scaleOf } from "./setup.js";

// `weights` is replaced by each update and never changed in place, so that a view may keep it.
export class Experiment {
  // setup: {lights: [[…]…], outcomes: [0 or 1…], scale: null or a number, hiddenSizes, activation, alpha,
  //   batchSize: null for all rows, weightDecay, l1Penalty, seed, start: null or the start weights}
  // Without a scale, the lights are divided by their largest absolute value.
  constructor(setup) {
    checkSetup(setup);
    const { lights, outcomes, start } = setup;
    this.setup = setup;
    this.outcomes = outcomes;
    this.scale = setup.scale ?? scaleOf(lights);
    // Adding 0 turns -0 into 0, as the service does.
    this.inputs = lights.map((row) => row.map((light) => (light + 0) / this.scale));
    this.batchSize = setup.batchSize ?? lights.length;
    this.batches = Array.from({ length: Math.ceil(lights.length / this.batchSize) }, (_, i) =>
      [i * this.batchSize, Math.min((i + 1) * this.batchSize, lights.length)]);
    this.start = start ? start.map((matrix) => matrix.map((row) => row.map((weight) => weight + 0)))
      : randomWeights([lights[0].length, ...setup.hiddenSizes, 1], setup.seed);
    this.reset();
    const error = outcomes.reduce((total, outcome, row) => total + (outcome - this.score(row)) ** 2, 0);
    if (!isFinite(error)) throw new SetupError("start", "expected weights and a scale with which no error overflows before the training");
  }

  // The score of a row with the current weights.
  score(row) {
    return forward(this.weights, this.inputs[row], this.setup.activation).at(-1)[0];
  }

  reset() {
    this.weights = this.start;
    this.weightsOfPass = this.start; // the weights before the first batch of this pass
    this.steps = 0;
    this.batch = 0; // the next batch of this pass
    this.errors = []; // of each finished pass: the squared errors of the rows before their updates, summed
    this.errorOfPass = 0;
    this.diverged = null; // the reason why the training ended; the weights are then the last finite ones
  }

  // Make one update by one batch. Return {start, end, before} and the fields of descent.js's update, or
  // null if the training diverged before. An update that overflows ends the training.
  takeStep() {
    if (this.diverged) return null;
    const [start, end] = this.batches[this.batch];
    const before = this.weights;
    const step = { start, end, before, ...this.updateFrom(before, this.batch) };
    if (!isFinite(step.error) || !step.after.flat(2).every(isFinite)) {
      this.diverged = this.divergence(step);
      return step;
    }
    this.weights = step.after;
    this.steps += 1;
    this.errorOfPass += step.error;
    this.batch += 1;
    if (this.batch === this.batches.length) this.finishPass();
    return step;
  }

  // Make updates to the end of the pass, and return the last one.
  takePass() {
    let step;
    do step = this.takeStep();
    while (this.batch && !this.diverged);
    return step;
  }

  updateFrom(weights, batch) {
    const [start, end] = this.batches[batch];
    return update(weights, this.inputs.slice(start, end), this.outcomes.slice(start, end), this.setup, this.batchSize === 1);
  }

  finishPass() {
    this.errors.push(this.errorOfPass);
    this.errorOfPass = 0;
    this.batch = 0;
    this.weightsOfPass = this.weights;
  }

  // Return the service's sentence for a training in whose pass `step` overflows. The service checks the
  // error after the pass, so compute the pass to its end.
  divergence(step) {
    let error = this.errorOfPass + step.error;
    let weights = step.after;
    for (let batch = this.batch + 1; batch < this.batches.length; batch += 1) {
      const next = this.updateFrom(weights, batch);
      error += next.error;
      weights = next.after;
    }
    const reason = isFinite(error) ? "the weights overflowed"
      : `the error became ${isNaN(error) ? "nan" : "inf"} in iteration ${this.errors.length + 1}`;
    return `training diverged: ${reason}; try a smaller alpha than ${sixDigits(this.setup.alpha)}`;
  }
}

// Format a number like Python's format "g".
function sixDigits(number) {
  const [digits, exponent] = number.toExponential(5).split("e");
  if (exponent >= -4 && exponent < 6) return String(Number(number.toPrecision(6)));
  return `${Number(digits)}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
}
