// The stations, in the lab's order: question, what to look for, setup and variants of each.
//
// The sentences on what happened are in outcome.js.

import { DATASETS } from "../learning/datasets.js";

// The weights with which the lab starts.
const LAB_START = [[[0.5], [0.48], [-0.7]]];
const DECEIVING_START = [[[0.5], [1.5], [-0.5]]];

const SETUP = {
  ...DATASETS.six, scale: null, hiddenSizes: [], activation: "relu", alpha: 0.1, batchSize: 1,
  weightDecay: 0, l1Penalty: 0, seed: 1, start: null, iterations: 40, compare: [],
};
const THREE_LAYERS = { ...DATASETS.four, hiddenSizes: [4], alpha: 0.2, iterations: 60 };

const multiplied = (factor) => ({ lights: DATASETS.six.lights.map((row) => row.map((light) => factor * light)) });
const layers = (...hiddenSizes) => ({ hiddenSizes });

// A variant is [label, what differs from the station's setup]; the first one is the station itself.
function station(slug, name, question, look, setup, ...variants) {
  const own = { station: slug, ...SETUP, ...setup };
  return { slug, name, question, look, setup: own, variants: variants.map(([label, changed]) => ({ label, setup: { ...own, ...changed } })) };
}

export const STATIONS = [
  station("one-light", "One light", "How does a network learn one light state?",
    "People stopped at 1 0 1, so the goal is 0. Each update moves the weights of the lights that are on, by alpha times the delta. With alpha 0.1, each pass leaves 0.8 of the score, so the error gets 0.64 times as large. The middle light is off: its weight can't change.",
    { ...DATASETS["one-light"], start: LAB_START, iterations: 20 },
    ["the lab's alpha 0.1", {}], ["alpha 0.5: in one step", { alpha: 0.5 }], ["alpha 1.1: too large", { alpha: 1.1 }]),
  station("six-rows", "Six rows", "Which of the three lights means walk?",
    "Stochastic gradient descent: the weights change after each row. Look at the three weights. Which one gets close to 1, and which ones close to 0? The pattern is in the rows, not in the size of the numbers.",
    { start: LAB_START },
    ["on = 1 (matrix A)", {}], ["on = 10 (matrix B)", multiplied(10)], ["dimmed, on = 0.1 (matrix C)", multiplied(0.1)],
    ["on = 10 with scale 1", { ...multiplied(10), scale: 1 }]),
  station("descents", "Descents", "After how many rows should the weights change?",
    "Stochastic gradient descent changes them after each row, batch gradient descent after a few rows, full gradient descent once in a pass, by the average over all rows. Compare the errors after as many passes.",
    { start: LAB_START, compare: [{ batchSize: 2 }, { batchSize: null }] },
    ["stochastic", {}], ["batches of 2", { batchSize: 2, compare: [{ batchSize: 1 }, { batchSize: null }] }],
    ["full", { batchSize: null, compare: [{ batchSize: 1 }, { batchSize: 2 }] }]),
  station("pressure", "Pressure", "Which rows push a weight up, and which down?",
    "Each row pushes the weights of its lights up if people walked, and down if they stopped. A light that is off has no part in the error, so its weight stays. Which weight is pushed up only?",
    { start: [[[0.1], [0.1], [0.1]]] },
    ["small equal weights", {}], ["the lab's weights", { start: LAB_START }], ["left 0, middle 1, right 0.1", { start: [[[0], [1], [0.1]]] }]),
  station("two-rows", "Two rows", "Can an error of 0 be wrong?",
    "With the weights 0.5, 1.5 and -0.5 both rows have an error of 0, so no weight moves. The network has memorised two rows, and doesn't know that the middle light counts: this is overfitting. More rows help it to generalise.",
    { ...DATASETS["two-rows"], start: DECEIVING_START },
    ["the deceiving weights", {}], ["other start weights", { start: LAB_START }], ["its escape: all six rows", { ...DATASETS.six }]),
  station("conflicting-pressure", "Conflict", "What does a weight do that is pushed both ways?",
    "The right light is on in every row: three rows push its weight up, three down. It rises at first. As the middle weight takes over the correlation, the rows with walk have less error left, and the push down wins. Without a penalty, the weight goes to 0.",
    { start: [[[0.1], [0.1], [0.1]]] },
    ["no penalty", {}], ["L2 0.05", { weightDecay: 0.05 }], ["L1 0.005", { l1Penalty: 0.005 }]),
  station("regularization", "Regularization", "Can a weight without correlation be silenced?",
    "L2 takes a share of each weight, so it shrinks large weights most, and the right light takes over a part of the middle one. L1 takes the same from each weight, so weights without correlation become 0. Compare the three weights.",
    { compare: [{ weightDecay: 0.05 }, { l1Penalty: 0.005 }] },
    ["all three", {}], ["L2 alone", { weightDecay: 0.05, compare: [] }], ["L2 0.2", { weightDecay: 0.2, compare: [] }], ["L1 alone", { l1Penalty: 0.005, compare: [] }]),
  station("no-correlation", "No correlation", "What if no light correlates with the outcome?",
    "In these four rows each light is on as often with walk as with stop. The pressures up and down cancel, so the best that the network can do is to give each row the same score.",
    { ...DATASETS.four, alpha: 0.5, batchSize: null, iterations: 300 },
    ["full gradient descent", {}], ["row by row", { alpha: 0.1, batchSize: 1 }], ["another seed", { seed: 7 }]),
  station("linear", "Three layers", "Do three layers help?",
    "A hidden layer without relu only mixes the lights: two weighted sums in a row equal one weighted sum. Below a network with three layers or more is the two-layer network with the same scores.",
    { ...THREE_LAYERS, activation: "linear" },
    ["4 hidden nodes, linear", {}], ["two layers", layers()], ["16 hidden nodes, linear", { hiddenSizes: [16], alpha: 0.05 }], ["five layers, linear", { hiddenSizes: [4, 4, 4], alpha: 0.05 }]),
  station("relu", "Relu", "What changes if a node can be off?",
    "relu turns a hidden node off where its sum is below 0. So a node correlates with a light in some rows and not in others: conditional correlation. Look for the nodes that are off, and for deltas of 0 there. On some seeds too many nodes stay off.",
    THREE_LAYERS,
    ["the lab's seed 1", {}], ["seed 2 misses it", { seed: 2 }], ["seed 5 misses it", { seed: 5 }], ["without relu", { activation: "linear" }]),
  station("deeper", "Deeper", "And with more layers?",
    "The same backpropagation, one layer more: each layer makes data for the next one. Deeper is not always better: with 3 nodes in each of four layers all can be off at once, and then nothing moves any more.",
    { ...THREE_LAYERS, hiddenSizes: [4, 3] },
    ["4, 3", {}], ["4, 4, 3", layers(4, 4, 3)], ["3, 3, 3, 3", layers(3, 3, 3, 3)], ["seed 3", { seed: 3 }]),
  station("your-own", "Your own", "What does your corner teach?",
    "Write down what you have seen: which lights were on, and what people did. Edit the rows below the network, click a grid, paste or drop a CSV file. Then look whether the network learns them, and what it says about states that it has not seen.",
    THREE_LAYERS,
    ["the lab's four rows", {}], ["two lights: exactly one", { lights: [[0, 0], [0, 1], [1, 0], [1, 1]], outcomes: [0, 1, 1, 0], seed: 2 }],
    ["five lights", { lights: [[1, 0, 0, 0, 1], [0, 1, 0, 1, 0], [1, 1, 0, 0, 0], [0, 0, 1, 1, 1], [0, 1, 1, 0, 0], [1, 0, 1, 0, 1]], outcomes: [1, 0, 1, 0, 0, 1] }]),
];

export const stationOf = ({ setup }) => STATIONS.find(({ slug }) => slug === setup.station) ?? STATIONS.at(-1);
