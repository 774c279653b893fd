// The names of the lights: the lab's three have a place, others a number.

export const lightName = (i, count) => (count === 3 ? ["left", "middle", "right"][i] : `light ${i}`);

export const lightNames = (count) => Array.from({ length: count }, (_, i) => lightName(i, count));
