// How the fields of a setup are written in the URL fragment, and read back.

import { numberFrom } from "./fields.js";

const numbers = (text, separator = ",") => text.split(separator).map(numberFrom);

const field = (name, write = String, read = numberFrom) =>
  ({ fields: [name], write: (setup) => write(setup[name]), read: (text) => ({ [name]: read(text) }) });

// A field that may be null, for which the fragment has the word `none`.
const optional = (name, none) => field(name, (value) => String(value ?? none), (text) => (text === none ? null : numberFrom(text)));

// In the order in which they are read. read(text, setup) gets the setup so far, and may return what is no
// number: the check of the setup refuses it.
export const PARAMETERS = {
  rows: {
    fields: ["lights", "outcomes"],
    write: ({ lights, outcomes }) => lights.map((row, i) => [...row, outcomes[i]].join("_")).join(),
    read: (text) => {
      const rows = text.split(",").map((row) => numbers(row, "_"));
      return { lights: rows.map((row) => row.slice(0, -1)), outcomes: rows.map((row) => row.at(-1)) };
    },
  },
  hidden: field("hiddenSizes", (sizes) => sizes.join() || "none", (text) => (text === "none" ? [] : numbers(text))),
  activation: field("activation", String, String),
  alpha: field("alpha"),
  batch: optional("batchSize", "all"),
  l2: field("weightDecay"),
  l1: field("l1Penalty"),
  scale: optional("scale", "automatic"),
  seed: field("seed"),
  start: {
    fields: ["start"],
    write: ({ start }) => start?.flat(2).join() ?? "random",
    read: (text, { lights, hiddenSizes }) => {
      if (text === "random") return { start: null };
      const weights = numbers(text);
      const sizes = [lights[0].length, ...hiddenSizes, 1];
      const start = hiddenSizes.concat(1).map((nodes, d) => Array.from({ length: sizes[d] }, () => weights.splice(0, nodes)));
      return { start: weights.length ? [...start, [weights]] : start };
    },
  },
};
