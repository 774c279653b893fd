// What the browser remembers between visits. Without storage, everything works for this visit.

export const memory = {
  get: (name) => attempt(() => localStorage.getItem(`streetlight-${name}`)) ?? "",
  set: (name, value) => attempt(() => localStorage.setItem(`streetlight-${name}`, value)),
};

function attempt(action) {
  try {
    return action();
  } catch {
    return null; // the browser's settings forbid storage
  }
}
