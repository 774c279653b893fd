// The forward pass and backpropagation of one row, with the bits of the service's `model/network.py`.
//
// weights[d][i][j] leads from node i of layer d to node j of layer d + 1, as in the API's JSON. Every
// sum starts from 0 and is taken in the order of the inputs, so that it is rounded as in the service.
// Updates of the weights are in descent.js.

// A score above this value means walk.
export const THRESHOLD = 0.501;

export const isWalk = (score) => score > THRESHOLD;

// Return [layer_0, layer_1, …, [score]]. The last layer has no activation.
export function forward(weights, layer0, activation) {
  const layers = [layer0];
  weights.forEach((matrix, d) => {
    const isHidden = d < weights.length - 1;
    layers.push(matrix[0].map((_, j) => {
      const total = sum(layers[d], (node, i) => node * matrix[i][j]);
      return isHidden && activation === "relu" && total <= 0 ? 0 : total;
    }));
  });
  return layers;
}

// Return the deltas of every layer but layer_0: deltas[d] belongs to layer d + 1. A delta is 0 where
// relu turned the node off.
export function backpropagate(weights, layers, outcome, activation) {
  const deltas = [[outcome - layers.at(-1)[0]]];
  for (let d = weights.length - 1; d > 0; d -= 1) {
    const [next] = deltas;
    deltas.unshift(weights[d].map((row, i) =>
      activation === "relu" && !(layers[d][i] > 0) ? 0 : sum(row, (weight, j) => next[j] * weight)));
  }
  return deltas;
}

function sum(values, term) {
  let total = 0;
  for (let i = 0; i < values.length; i += 1) total += term(values[i], i);
  return total;
}
