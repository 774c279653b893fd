// Run an asynchronous action for the newest of many calls, and never twice at a time.

// Return a function that runs `action` with its arguments. Calls while it runs are answered by one
// more run, with the newest arguments, which starts at least `gap` milliseconds after the last.
export function coalesce(action, gap = 0) {
  let newest = null;
  let running = null;
  async function run() {
    while (newest) {
      const call = newest;
      newest = null;
      const pause = new Promise((resolve) => { setTimeout(resolve, gap); });
      await action(...call);
      if (gap) await pause;
    }
    running = null;
  }
  return (...call) => {
    newest = call;
    running ??= run().catch((error) => {
      running = null;
      throw error;
    });
    return running;
  };
}
