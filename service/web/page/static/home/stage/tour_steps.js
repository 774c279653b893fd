// The steps of the guided tour, in the lab's order.
//
// A step is {station, text, at, variant, passes, steps, then, speed}: `at` is the selector of the part
// that is outlined, `variant` the number of the station's variant, `passes` and `steps` what was learnt
// before, `then` is "play" or "step", and `speed` the number of the player's speed. So a step shows the
// same, whether the reader comes from before or after it.

const steps = (station, ...all) => all.map(([text, at, rest]) => ({ station, text, at, ...rest }));
const one = { then: "step" };
// At a speed at which the end is reached in some seconds.
const play = { then: "play", speed: 4 };

export const TOUR_STEPS = [
  ...steps("one-light",
    ["A corner in a foreign city: people stopped at the lights 1 0 1. Each light times its weight, summed up, is the score. Above 0.501 the network decides walk.", "#picture"],
    ["One step: the signal runs forward, the delta (goal minus score) runs back, and each weight moves by alpha times input times delta. The middle light is off, so its weight stays.", "#picture", one],
    ["Play: each pass leaves 0.8 of the score. The error falls, fast at first and then more slowly.", "#curve", { ...play, speed: 3 }]),
  ...steps("six-rows",
    ["Six observations are the rows of a matrix. Which light means walk? The network does not know; it looks for correlation.", "#data"],
    ["Play: after each row the weights change. This is stochastic gradient descent.", "#picture", play],
    ["After 40 passes, the middle weight is close to 1 and the others are close to 0.", "#happened", { passes: 40 }],
    ["The same with 10 for a light that is on. The pattern is the same, so the network divides by the scale and learns the same weights.", "#happened", { passes: 40, variant: 1 }]),
  ...steps("descents",
    ["The weights can also change after a batch of rows, or once in a pass: full gradient descent, by the average over all rows.", "#comparison", play],
    ["After as many passes, more frequent updates have a lower error here. On large data, batches are the usual choice.", "#happened", { passes: 40 }]),
  ...steps("pressure",
    ["Each row pushes the weights of its lights: up if people walked, down if they stopped. Where the input is 0, there is no pressure.", "#pressure"],
    ["The middle weight is pushed up only. The other two are pushed both ways, and what cancels teaches nothing.", "#pressure", { steps: 1 }]),
  ...steps("two-rows",
    ["With these weights both rows have an error of 0. Nothing moves, however long it learns.", "#picture", play],
    ["But 1 1 1 would get a score of 1.5, and 0 0 1 one of -0.5: two rows are memorised, and nothing is learnt that generalises. This is overfitting.", "#happened", { passes: 40 }],
    ["Its escape: the third of the six rows, 0 0 1, pushes the right weight up, so the left and the right weight no longer cancel.", "#picture", { variant: 2, ...play }]),
  ...steps("conflicting-pressure",
    ["The right light is on in every row: three rows push its weight up, and three push it down.", "#pressure"],
    ["Its weight rises at first, and goes to 0 as the middle weight takes over the correlation: then the rows with walk have little error left.", "#picture", play]),
  ...steps("regularization",
    ["A penalty silences weights without correlation. Compare no penalty, L2 and L1.", "#comparison", play],
    ["L2 lets the right light take a part of the middle one's weight. L1 brings the weights without correlation to 0.", "#happened", { passes: 40 }]),
  ...steps("no-correlation",
    ["Four other rows. Each light is on as often with walk as with stop.", "#data"],
    ["The pressures cancel. Two layers can only give each row a score of 0.5: the error stays at 1.", "#curve", { ...play, speed: 5 }]),
  ...steps("linear",
    ["A hidden layer makes new data from the lights. Backpropagation gives each hidden node its part of the delta, by its weight.", "#picture", one],
    ["Without relu it does not help: two weighted sums in a row equal one weighted sum. This two-layer network has the same scores.", "#equivalent", { passes: 60 }]),
  ...steps("relu",
    ["relu turns a node off where its sum is below 0. A node that is off has a delta of 0: it had no part in the error.", "#picture", one],
    ["Now a node can correlate with a light in some rows only. Play: the network learns the four rows.", "#curve", play],
    ["It depends on the start: with seed 2 a row is missed.", "#happened", { passes: 60, variant: 1 }]),
  ...steps("deeper",
    ["More layers, the same arithmetic: each layer makes data for the next one.", "#picture", play],
    ["With 3 nodes in each of four hidden layers, all nodes can be off at once. Then all deltas are 0, and nothing moves any more.", "#happened", { passes: 60, variant: 2 }]),
  ...steps("your-own",
    ["Now your own corner: switch lights in the rows, click the grid, or drop a CSV file. Then play.", "#data"],
    ["Everything on this page is in its address: send the link, and others see the same weights. The service below learns the same way, from its ledger.", "#proof"]),
];
