// The check of an experiment's setup, with the bounds of the service's recipe.

export const BOUNDS = {
  alpha: [1e-9, 1e9],
  batchSize: [1, 1e9],
  weightDecay: [0, 1e9],
  l1Penalty: [0, 1e9],
  seed: [0, 2 ** 31],
};
export const MAX_ROWS = 10000;
const MAX_HIDDEN_LAYERS = 8;
// The service computes networks with wider layers in another way, with rounded factors.
export const MAX_NODES = 16;

export class SetupError extends Error {
  constructor(field, message) {
    super(`${field}: ${message}`);
    this.field = field;
  }
}

// Return the scale of rows that have no other: the largest absolute value of a light, or 1 if all are 0.
export const scaleOf = (lights) =>
  lights.reduce((largest, row) => Math.max(largest, ...row.map(Math.abs)), 0) || 1;

// Throw a SetupError if `setup` is not a valid setup of an experiment.
export function checkSetup(setup) {
  checkRows(setup);
  if (setup.scale !== null) check("scale", setup.scale > 0 && isFinite(setup.scale), "a number above 0 or null", setup.scale);
  checkLayers(setup);
  check("activation", ["relu", "linear"].includes(setup.activation), "relu or linear", setup.activation);
  for (const [field, [lowest, highest]] of Object.entries(BOUNDS)) {
    const value = setup[field];
    if (field === "batchSize" && value === null) continue;
    const isWhole = field === "batchSize" || field === "seed";
    check(field, isNumber(value) && value >= lowest && value <= highest && !(isWhole && value % 1),
      `a ${isWhole ? "whole " : ""}number from ${lowest && lowest < 1e-6 ? lowest.toFixed(9) : lowest} to ${highest}`, value);
  }
  if (setup.start !== null) checkStart(setup);
}

function checkRows({ lights, outcomes }) {
  check("lights", lights.length >= 1 && lights.length <= MAX_ROWS, `from 1 to ${MAX_ROWS} rows`, lights.length);
  const count = lights[0].length;
  check("lights", count >= 1 && count <= MAX_NODES, `from 1 to ${MAX_NODES} lights`, count);
  lights.forEach((row, i) => {
    check("lights", row.length === count, `${count} lights in row ${i + 1}, as in the first row`, row.length);
    row.forEach((light) => check("lights", isNumber(light), `finite numbers in row ${i + 1}`, light));
  });
  check("outcomes", outcomes.length === lights.length, `${lights.length} outcomes, one for each row`, outcomes.length);
  outcomes.forEach((outcome, i) => check("outcomes", outcome === 0 || outcome === 1, `1 (walk) or 0 (stop) in row ${i + 1}`, outcome));
}

function checkLayers({ hiddenSizes }) {
  check("hiddenSizes", hiddenSizes.length <= MAX_HIDDEN_LAYERS, `at most ${MAX_HIDDEN_LAYERS} hidden layers`, hiddenSizes.length);
  for (const size of hiddenSizes) {
    check("hiddenSizes", Number.isInteger(size) && size >= 1 && size <= MAX_NODES, `from 1 to ${MAX_NODES} nodes in a layer`, size);
  }
}

function checkStart({ start, lights, hiddenSizes }) {
  const sizes = [lights[0].length, ...hiddenSizes, 1];
  check("start", start.length === sizes.length - 1, `${sizes.length - 1} weight matrices`, start.length);
  start.forEach((matrix, d) => {
    const isShaped = matrix.length === sizes[d] && matrix.every((row) => row.length === sizes[d + 1]);
    check("start", isShaped, `${sizes[d]} rows of ${sizes[d + 1]} weights in weights_${d}_${d + 1}`, JSON.stringify(matrix));
    matrix.flat().forEach((weight) => check("start", isNumber(weight), `finite numbers in weights_${d}_${d + 1}`, weight));
  });
}

const isNumber = (value) => typeof value === "number" && isFinite(value);

function check(field, isValid, expected, got) {
  if (!isValid) throw new SetupError(field, `expected ${expected}, got ${got}`);
}
