// The names of the lights: the lab's three have a place, others a number.

export const lightName = (i, count) => (count === 3 ? ["left", "middle", "right"][i] : `light ${i}`);

// Return the name of light `i` in a sentence: "the left light" with the article "the ", or "light 3".
export const lightPhrase = (i, count, article = "") =>
  (count === 3 ? `${article}${lightName(i, count)} light` : lightName(i, count));

export const lightNames = (count) => Array.from({ length: count }, (_, i) => lightName(i, count));
