// Run an asynchronous action for the newest of many calls, and never twice at a time.

// Return a function that runs `action` with its arguments. Calls while it runs are answered by one
// more run, with the newest arguments. A run starts at least `gap` milliseconds after the last one.
export function coalesce(action, gap = 0) {
  let newest = null;
  let running = null;
  let pause = Promise.resolve();
  async function run() {
    try {
      while (newest) {
        await pause;
        const call = newest;
        newest = null;
        pause = new Promise((resolve) => { setTimeout(resolve, gap); });
        await action(...call);
      }
    } finally {
      running = null;
    }
  }
  return (...call) => {
    newest = call;
    running ??= run();
    return running;
  };
}
