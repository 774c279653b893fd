// What is shown, kept in the address, so that a link shows a class the same thing.

const kept = () => new URLSearchParams(location.hash.slice(1));

export const inAddress = (name) => kept().get(name);

export const numbersInAddress = (name) => (inAddress(name) || "").split(",").filter(Boolean).map(Number);

export function putInAddress(name, value) {
  const all = kept();
  if (value === "" || value == null) all.delete(name);
  else all.set(name, value);
  // Commas stay commas: it is read by people too.
  history.replaceState(null, "", `#${all.toString().replaceAll("%2C", ",")}`);
}

// A form whose fields are in the address from when they are changed.
export function keepForm(form) {
  const name = (field) => `${form.id}.${field.name}`;
  const fields = [...form.elements].filter((field) => field.name);
  const fill = () => fields.forEach((field) => {
    const value = inAddress(name(field));
    if (value !== null) field.value = value;
  });
  form.addEventListener("change", ({ target }) => putInAddress(name(target), target.value));
  window.addEventListener("hashchange", fill);
  fill();
}
