// `Stage`: one experiment, its player, and which part of it is shown.
//
// Views subscribe and draw; this module draws nothing. The arithmetic is in ../learning, the
// stations in stations.js, the phases of a step in phases.js.

import { Experiment } from "../learning/experiment.js";
import { backpropagate, forward } from "../learning/network.js";
import { labelOf } from "./names.js";
import { REST, phaseAt } from "./phases.js";

// The speeds of the player. Each step of a slow speed is shown in phases.
export const SPEEDS = [
  { steps: 0.5 }, { steps: 1 }, { steps: 2 }, { steps: 4 },
  { passes: 4 }, { passes: 20 }, { passes: 100 }, { passes: 400 }, { passes: 1000 },
];
// The time of a single step, in milliseconds.
const SINGLE_STEP = 1000;
// The training of a frame ends after this many milliseconds, so that 60 frames a second are drawn.
const FRAME_BUDGET = 8;

const stillPictures = matchMedia("(prefers-reduced-motion: reduce)");

export class Stage {
  #views = new Set();
  #drawing = false;
  #running = false;
  #last = 0; // the time of the last frame
  #due = 0; // steps or passes that the player still has to make
  #until = 0; // the pass after which the player pauses
  #pinned = null; // the row that the user chose

  constructor(setup) {
    this.speed = 2;
    this.playing = false;
    this.change(setup);
  }

  // Start again with other fields of the setup; throw a SetupError and change nothing if one is invalid.
  change(overrides) {
    const setup = { ...this.setup, ...overrides };
    const { compare = [], ...own } = setup;
    const experiment = new Experiment(own);
    this.others = compare.map((changed) => ({ label: labelOf({ ...setup, ...changed }), experiment: new Experiment({ ...own, ...changed }) }));
    this.setup = setup;
    this.experiment = experiment;
    this.focus = null;
    this.#pinned = null;
    this.#rewind();
  }

  reset() {
    for (const { experiment } of [this, ...this.others]) experiment.reset();
    this.#rewind();
  }

  #rewind() {
    this.pause();
    this.update = null;
    this.phase = REST;
    this.changed();
  }

  // The row that is shown: that of the step, the one that the user chose, or the next one to learn.
  get row() {
    const { batches, batch, inputs } = this.experiment;
    if (this.phase.name !== "rest") return this.#shownRow(this.update.start, this.update.end);
    if (this.#pinned !== null && this.#pinned < inputs.length) return this.#pinned;
    return this.playing && !this.isSlow ? 0 : batches[batch][0];
  }

  #shownRow(start, end) {
    return this.#pinned !== null && this.#pinned >= start && this.#pinned < end ? this.#pinned : start;
  }

  setRow(row) {
    this.#pinned = row;
    this.changed();
  }

  setFocus(focus) {
    this.focus = focus;
    this.changed();
  }

  setSpeed(speed) {
    this.speed = speed;
    this.#due = 0;
    this.changed();
  }

  get isSlow() {
    return SPEEDS[this.speed].steps !== undefined;
  }

  // The weights that are shown. In the phase `update` they move from the old to the new ones.
  get weights() {
    const { name, progress } = this.phase;
    if (name === "rest") return this.experiment.weights;
    const { before, after } = this.update;
    if (name !== "update") return before;
    return before.map((matrix, d) => matrix.map((row, i) => row.map((weight, j) => weight + progress * (after[d][i][j] - weight))));
  }

  // The layers and deltas of the row that is shown.
  get layers() {
    const { inputs, setup } = this.experiment;
    if (this.phase.name !== "rest") return this.update.layers[this.row - this.update.start];
    return forward(this.experiment.weights, inputs[this.row], setup.activation);
  }

  get deltas() {
    const { outcomes, setup } = this.experiment;
    if (this.phase.name !== "rest") return this.update.deltas[this.row - this.update.start];
    return backpropagate(this.experiment.weights, this.layers, outcomes[this.row], setup.activation);
  }

  #takeStep() {
    const { experiment } = this;
    if (experiment.diverged) return this.pause();
    const passes = experiment.errors.length;
    this.update = experiment.takeStep();
    if (experiment.errors.length > passes) {
      for (const other of this.others) if (!other.experiment.diverged) other.experiment.takePass();
      if (this.playing && experiment.errors.length >= this.#until) this.pause();
    }
    if (experiment.diverged) this.pause();
  }

  // Make one step and show its phases. If one is being shown, end it first.
  step() {
    this.pause();
    this.phase = REST;
    this.#startStep(SINGLE_STEP);
    this.#run();
  }

  #startStep(milliseconds) {
    this.#takeStep();
    // A step shows the row that it learns from, and then the next one.
    if (this.update && this.#shownRow(this.update.start, this.update.end) !== this.#pinned) this.#pinned = null;
    if (this.update && !stillPictures.matches && !this.experiment.diverged) {
      this.phase = phaseAt(0, milliseconds);
    }
    this.changed();
  }

  // Make the steps to the end of the pass.
  pass() {
    this.pause();
    this.phase = REST;
    const passes = this.experiment.errors.length;
    while (this.experiment.errors.length === passes && !this.experiment.diverged) this.#takeStep();
    this.changed();
  }

  // Make `count` steps at once.
  skip(count) {
    for (let i = 0; i < count && !this.experiment.diverged; i += 1) this.#takeStep();
    this.changed();
  }

  // Play up to the number of passes of the station, or as many again.
  play() {
    const { experiment, setup } = this;
    this.playing = !experiment.diverged;
    this.#until = setup.iterations * (1 + Math.floor(experiment.errors.length / setup.iterations));
    this.#due = 1; // the first step at once
    this.#run();
    this.changed();
  }

  pause() {
    this.playing = false;
    if (this.#views.size) this.changed();
  }

  #run() {
    if (this.#running) return;
    this.#running = true;
    this.#last = performance.now();
    const frame = (now) => {
      const elapsed = Math.min(now - this.#last, 250);
      this.#last = now;
      this.#advance(Math.max(elapsed, 0));
      this.#running = this.playing || this.phase.name !== "rest";
      if (this.#running) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  #advance(elapsed) {
    if (this.phase !== REST) {
      this.phase = phaseAt(this.phase.elapsed + elapsed, this.phase.milliseconds);
      this.changed();
    }
    if (!this.playing) return;
    const { steps, passes } = SPEEDS[this.speed];
    this.#due += (elapsed / 1000) * (steps ?? passes);
    if (steps) {
      if (this.phase.name !== "rest" || this.#due < 1) return;
      this.#due = 0;
      this.#startStep(1000 / steps);
      return;
    }
    this.phase = REST;
    const end = performance.now() + FRAME_BUDGET;
    while (this.playing && this.#due >= 1 && performance.now() < end) {
      this.#takeStep();
      if (this.experiment.batch === 0) this.#due -= 1;
    }
    this.#due = Math.min(this.#due, 1); // passes that this frame had no time for are not made up for
    this.changed();
  }

  // Call `draw(stage)` at most once a frame after a change, and once now.
  subscribe(draw) {
    this.#views.add(draw);
    draw(this);
  }

  changed() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      for (const draw of this.#views) draw(this);
    });
  }
}
