// The page's state in the URL fragment: a link reproduces the lights, the forms and the selections.

const parameters = () => new URLSearchParams(location.hash.slice(1));

export const getParameter = (name) => parameters().get(name);

export const getNumbers = (name) => (getParameter(name) || "").split(",").filter(Boolean).map(Number);

export function setParameter(name, value) {
  const all = parameters();
  if (value === "" || value == null) all.delete(name);
  else all.set(name, value);
  // Commas need no escape in a fragment, and unescaped they are easier to read.
  history.replaceState(null, "", `#${all.toString().replaceAll("%2C", ",")}`);
}

// Store each changed field of a form in the URL, and fill the form from the URL.
export function bindForm(form) {
  const name = (field) => `${form.id}.${field.name}`;
  const fields = [...form.elements].filter((field) => field.name);
  const fill = () => fields.forEach((field) => {
    const value = getParameter(name(field));
    if (value !== null) field.value = value;
  });
  form.addEventListener("change", ({ target }) => setParameter(name(target), target.value));
  window.addEventListener("hashchange", fill);
  fill();
}
