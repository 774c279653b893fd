// The lab's Weight Pressure table of a network, with the bits of POST /pressure.

import { backpropagate, forward } from "./network.js";
import { BLOCK_ROWS, sumOfRows } from "./sums.js";

const MAX_BLOCK_PRESSURES = 2 ** 18;

// Return {rows, up, down, sum}. rows[row][d][i][j] is the row's weight_delta: a positive one moves the
// weight up, a negative one down. `up` adds the positive pressures on each weight, `down` the negative
// ones, and `sum` is up plus down.
export function pressure(weights, inputs, outcomes, activation) {
  const rows = inputs.map((layer0, row) => {
    const layers = forward(weights, layer0, activation);
    const deltas = backpropagate(weights, layers, outcomes[row], activation);
    // Adding 0 turns -0 into 0.
    return like(weights, (d, i, j) => layers[d][i] * deltas[d][j] + 0);
  });
  const blockRows = Math.min(BLOCK_ROWS, 1 + Math.floor(MAX_BLOCK_PRESSURES / weights.flat(2).length));
  const total = (limit) => like(weights, (d, i, j) => {
    const columns = weights[d].length * weights[d][i].length;
    return sumOfRows(rows.length, columns, (row) => limit(rows[row][d][i][j], 0), blockRows);
  });
  const [up, down] = [total(Math.max), total(Math.min)];
  return { rows, up, down, sum: like(weights, (d, i, j) => up[d][i][j] + down[d][i][j]) };
}

const like = (weights, at) =>
  weights.map((matrix, d) => matrix.map((row, i) => row.map((_, j) => at(d, i, j))));
