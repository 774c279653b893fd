// The requests to the service's API that compute what an experiment computes.

import { datasetName } from "./datasets.js";

// Return the body of POST /fit whose answer has the experiment's weights, to the last bit; null before
// the first update. It is the whole training, or in the middle of a pass, the rows of the pass so far
// with the weights at the start of the pass. If the training diverged, the answer is the same error.
export function fitBody(experiment) {
  const { setup, diverged, batches } = experiment;
  if (!experiment.steps && !diverged) return null;
  const batch = diverged ? 0 : experiment.batch;
  const end = batch ? batches[batch - 1][1] : setup.lights.length;
  const hasOwnStart = batch > 0 || setup.start || setup.scale !== null;
  const { seed, activation } = setup;
  return {
    ...rowsOf(setup, end),
    ...(hasOwnStart && { network: networkOf(experiment, batch ? experiment.weightsOfPass : experiment.start) }),
    recipe: {
      ...(!hasOwnStart && { seed, hidden_sizes: setup.hiddenSizes, activation }),
      alpha: setup.alpha,
      ...(setup.weightDecay && { weight_decay: setup.weightDecay }),
      ...(setup.l1Penalty && { l1_penalty: setup.l1Penalty }),
      batch_size: setup.batchSize,
      iterations: batch ? 1 : experiment.errors.length + (diverged ? 1 : 0),
    },
  };
}

// Return the body of POST /pressure for the current weights.
export function pressureBody(experiment) {
  const { setup } = experiment;
  return { ...rowsOf(setup, setup.lights.length), network: networkOf(experiment, experiment.weights) };
}

function rowsOf(setup, end) {
  const dataset = end === setup.lights.length && datasetName(setup);
  return dataset ? { dataset } : { rows: Array.from({ length: end }, (_, row) => rowOf(setup, row)) };
}

const rowOf = ({ lights, outcomes }, row) => ({ lights: lights[row], outcome: outcomes[row] ? "walk" : "stop" });

function networkOf({ setup, scale }, weights) {
  const named = weights.map((matrix, d) => [`weights_${d}_${d + 1}`, matrix]);
  return { weights: Object.fromEntries(named), activation: setup.activation, scale };
}
