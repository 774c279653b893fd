// The lab's names of nodes, weights and outcomes, and the name of the stage's own network where several are compared.

import { exactNumber } from "../shared/numbers.js";

export const nodeName = (layer, node) => `layer_${layer}[${node}]`;
export const weightName = (layer, from, to) => `weights_${layer}_${layer + 1}[${from}][${to}]`;
export const outcomeName = (isWalk) => (isWalk ? "walk" : "stop");

// Return the label of a network with `setup` among those that are compared: what differs in their setups.
export function labelOf({ batchSize, weightDecay, l1Penalty, compare }) {
  if (compare.some((other) => "batchSize" in other)) {
    return batchSize === 1 ? "stochastic" : batchSize === null ? "full" : `batches of ${batchSize}`;
  }
  const penalties = [weightDecay && `L2 ${exactNumber(weightDecay)}`, l1Penalty && `L1 ${exactNumber(l1Penalty)}`].filter(Boolean);
  if (compare.some((other) => "weightDecay" in other || "l1Penalty" in other)) return penalties.join(", ") || "no penalty";
  return "on the stage";
}
