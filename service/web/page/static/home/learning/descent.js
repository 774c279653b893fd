// The update of the weights by one batch, with the bits of the service's `model/training`.
//
// Batches of one row are computed like `row_pass.py`, larger ones like `descent.py`. The order of the
// batches and the end of a training are in experiment.js.

import { backpropagate, forward } from "./network.js";
import { sumOfRows } from "./sums.js";

// With more weights, the service computes batches of one row like larger ones.
const MAX_ROW_PASS_WEIGHTS = 2000;

// Return the update of `weights` by the rows of a batch:
//   layers, deltas: of each row before the update
//   weightDeltas: of each weight, the average over the rows, which alpha multiplies
//   after: the weights after the update
//   error: the squared errors of the rows before the update, summed
// `recipe` has activation, alpha, weightDecay and l1Penalty. `isByRows` is true for batches of one row.
export function update(weights, inputs, outcomes, recipe, isByRows) {
  const layers = inputs.map((layer0) => forward(weights, layer0, recipe.activation));
  const deltas = layers.map((nodes, row) => backpropagate(weights, nodes, outcomes[row], recipe.activation));
  const rows = inputs.length;
  const weightDelta = isByRows && weights.flat(2).length <= MAX_ROW_PASS_WEIGHTS
    ? (d, i, j) => layers[0][d][i] * deltas[0][d][j]
    : (d, i, j) => sumOfRows(rows, weights[d][i].length, (row) => layers[row][d][i] * deltas[row][d][j]) / rows;
  const weightDeltas = weights.map((matrix, d) =>
    matrix.map((line, i) => line.map((_, j) => weightDelta(d, i, j))));
  const decay = 1 - recipe.alpha * recipe.weightDecay;
  const shrinkage = recipe.alpha * recipe.l1Penalty;
  const after = weights.map((matrix, d) => matrix.map((line, i) => line.map((weight, j) => {
    const moved = weight * decay + recipe.alpha * weightDeltas[d][i][j];
    // The L1 penalty moves a weight at most to 0.
    return shrinkage ? moved - Math.max(-shrinkage, Math.min(shrinkage, moved)) : moved;
  })));
  const error = sumOfRows(rows, 1, (row) => deltas[row].at(-1)[0] * deltas[row].at(-1)[0]);
  return { layers, deltas, weightDeltas, after, error };
}
