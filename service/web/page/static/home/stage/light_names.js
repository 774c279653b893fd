// The names of the lights, and the value of a light that is on.

export const lightNames = (count) =>
  (count === 3 ? ["left", "middle", "right"] : Array.from({ length: count }, (_, i) => `light ${i}`));

export const valueOfOn = ({ lights }) => Math.max(...lights.flat().map(Math.abs)) || 1;
