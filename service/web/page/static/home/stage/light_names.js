// The names of the lights: the lab's three have a place, others a number.

export const lightNames = (count) =>
  (count === 3 ? ["left", "middle", "right"] : Array.from({ length: count }, (_, i) => `light ${i}`));
