// How the fields of a setup are written in the URL fragment, and read back.

import { SetupError, checkSetup } from "../learning/setup.js";
import { numberFrom } from "./fields.js";

const numbers = (text, separator = ",") => text.split(separator).map(numberFrom);

const field = (name, write = String, read = numberFrom) =>
  ({ fields: [name], write: (setup) => write(setup[name]), read: (text) => ({ [name]: read(text) }) });

// A field that may be null, for which the fragment has the word `none`.
const optional = (name, none) => field(name, (value) => String(value ?? none), (text) => (text === none ? null : numberFrom(text)));

// What can differ in the networks that are compared, and the most of them.
const COMPARED = { batch: optional("batchSize", "all"), l2: field("weightDecay"), l1: field("l1Penalty") };
const MAX_COMPARED = 3;

// Read `l2_0.05_l1_0`: names and values of what differs from `setup`.
function comparedFrom(text, setup) {
  const parts = text.split("_");
  const changed = {};
  for (let i = 0; i < parts.length; i += 2) {
    const parameter = Object.hasOwn(COMPARED, parts[i]) && COMPARED[parts[i]];
    if (!parameter) throw new SetupError("compare", `expected networks such as batch_2,l2_0.05_l1_0 or none, got ${text}`);
    Object.assign(changed, parameter.read(parts[i + 1] ?? ""));
  }
  checkSetup({ ...setup, ...changed });
  return changed;
}

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
  compare: {
    fields: ["compare"],
    write: ({ compare }) => compare.map((changed) => Object.entries(COMPARED).filter(([, { fields: [name] }]) => name in changed)
      .map(([name, { write }]) => `${name}_${write(changed)}`).join("_")).join() || "none",
    read: (text, setup) => {
      const networks = text === "none" ? [] : text.split(",");
      if (networks.length > MAX_COMPARED) throw new SetupError("compare", `expected at most ${MAX_COMPARED} networks, got ${networks.length}`);
      return { compare: networks.map((network) => comparedFrom(network, setup)) };
    },
  },
};
