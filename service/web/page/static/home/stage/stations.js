// The stations, in the lab's order: for each, its question, what to look for, and its setup.

import { DATASETS } from "../learning/datasets.js";

// The weights with which the lab starts.
const LAB_START = [[[0.5], [0.48], [-0.7]]];

const SETUP = {
  ...DATASETS.six, scale: null, hiddenSizes: [], activation: "relu", alpha: 0.1, batchSize: 1,
  weightDecay: 0, l1Penalty: 0, seed: 1, start: null, iterations: 40, compare: [],
};
const THREE_LAYERS = { ...DATASETS.four, hiddenSizes: [4], alpha: 0.2, iterations: 60 };

const station = (slug, name, question, look, setup) => ({ slug, name, question, look, setup: { ...SETUP, ...setup } });

export const STATIONS = [
  station("one-light", "One light", "How does a network learn one light state?",
    "Each pass multiplies the score by 0.8. The middle light is off, so its weight stays 0.48.",
    { ...DATASETS["one-light"], start: LAB_START, iterations: 20 }),
  station("six-rows", "Six rows", "Which of the three lights means walk?",
    "The weight of the middle light gets close to 1, the two others close to 0.",
    { start: LAB_START }),
  station("descents", "Full, batch, stochastic", "After how many rows should the weights change?",
    "After as many passes, more frequent updates give a lower error here.",
    { start: LAB_START, compare: [{ label: "batches of 2", batchSize: 2 }, { label: "full", batchSize: null }] }),
  station("pressure", "Pressure", "Which rows push a weight up, and which down?",
    "A light that is off does not push. The middle light has pressure up only.",
    { start: [[[0.1], [0.1], [0.1]]] }),
  station("two-rows", "Two rows that deceive", "Can an error of 0 be wrong?",
    "With the weights 0.5, 1.5 and -0.5 both rows have no error, so no weight moves.",
    { ...DATASETS["two-rows"], start: [[[0.5], [1.5], [-0.5]]] }),
  station("conflicting-pressure", "Conflicting pressure", "What does a weight do that is pushed both ways?",
    "Three rows push the right weight up and three down. It goes to 0 as the middle weight takes over.",
    { start: LAB_START }),
  station("regularization", "Regularization", "Can a weight without correlation be silenced?",
    "L2 shrinks large weights most, L1 all weights alike.",
    { compare: [{ label: "L2", weightDecay: 0.05 }, { label: "L1", l1Penalty: 0.005 }] }),
  station("no-correlation", "No correlation", "What if no light correlates with the outcome?",
    "The pressures cancel: every score ends at 0.5, and the error at 1.",
    { ...DATASETS.four, alpha: 0.5, batchSize: null, iterations: 300 }),
  station("linear", "Three layers", "Do three layers help?",
    "No: two weighted sums in a row equal one weighted sum.",
    { ...THREE_LAYERS, activation: "linear" }),
  station("relu", "Relu", "What changes if a node can be off?",
    "Each hidden node correlates with the lights in some rows and is off in the others.",
    THREE_LAYERS),
  station("deeper", "Deeper", "And with more layers?",
    "The same backpropagation, one layer more.",
    { ...THREE_LAYERS, hiddenSizes: [4, 3] }),
  station("your-own", "Your own", "What does your corner teach?",
    "Write down what you have seen: which lights were on, and what people did.",
    THREE_LAYERS),
];
