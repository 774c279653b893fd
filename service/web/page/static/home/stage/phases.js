// The phases in which a slow step is shown: signals run forward, deltas back, then the weights change.

// Each phase, and its part of the time.
const PHASES = [["forward", 0.45], ["backward", 0.25], ["update", 0.2], ["rest", 0.1]];

export const REST = { name: "rest", progress: 0 };

// Return the phase that is shown `elapsed` milliseconds after the start of a step that takes `milliseconds`.
export function phaseAt(elapsed, milliseconds) {
  let part = elapsed / milliseconds;
  for (const [name, share] of PHASES.slice(0, -1)) {
    if (part < share) return { name, progress: part / share, elapsed, milliseconds };
    part -= share;
  }
  return REST;
}
