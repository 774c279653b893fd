// The lab's names of lights, nodes, weights and outcomes.

export const lightName = (light, count) => (count === 3 ? ["left", "middle", "right"][light] : `light ${light}`);
export const nodeName = (layer, node) => `layer_${layer}[${node}]`;
export const weightName = (layer, from, to) => `weights_${layer}_${layer + 1}[${from}][${to}]`;
export const outcomeName = (isWalk) => (isWalk ? "walk" : "stop");
