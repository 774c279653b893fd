// What an action does, said beside the control that was used: that it runs, its result, its error.

import { element } from "./dom.js";

// An action that takes longer, in milliseconds, can be cancelled.
const CANCEL_AFTER = 800;

export function messageOf(error) {
  if (error.name === "AbortError") return "Cancelled.";
  if (error instanceof TypeError || error instanceof ReferenceError) reportError(error); // a fault of the page
  return error.message;
}

// Run `action(signal, report)` for `control`, and show the text that it returns, or reports meanwhile.
// The text appears in the control's `.said`: see `saidOf`.
export async function act(control, action) {
  if (control.ariaBusy === "true") return;
  const said = saidOf(control);
  const abort = new AbortController();
  control.ariaBusy = "true";
  say(said, "Working …");
  const cancel = setTimeout(() => said.append(" ", element("button", {
    type: "button", onclick: () => abort.abort(),
  }, "Cancel")), CANCEL_AFTER);
  // The focus returns from the button that cancels.
  const end = (text, kind) => {
    const hadFocus = said.contains(document.activeElement);
    say(said, text, kind);
    if (hadFocus) control.focus();
  };
  try {
    end((await action(abort.signal, (text) => said.firstChild.replaceWith(text))) ?? "");
  } catch (error) {
    if (!(error.field && showAtField(control.form, error))) end(messageOf(error), "error");
  } finally {
    clearTimeout(cancel);
    control.ariaBusy = null;
  }
}

// Return the element for messages about a control: the one in the nearest ancestor that has one, or
// a new one after the control.
export function saidOf(control) {
  for (let parent = control.parentElement; parent; parent = parent.parentElement) {
    const said = parent.querySelector(":scope > .said");
    if (said) return said;
    if (/^(TD|FORM|SECTION)$/.test(parent.tagName)) break;
  }
  const said = element("p", { class: "said" });
  control.after(said);
  return said;
}

export function say(said, text, kind = "") {
  said.className = `said ${kind}`;
  said.setAttribute("role", kind === "error" ? "alert" : "status");
  said.replaceChildren(text);
}

// Show an error at the field of the form that it is about; return whether the form has this field.
function showAtField(form, error) {
  const field = form?.elements[error.field.match(/^\w*/)[0]];
  if (!field) return false;
  saidOf(form.querySelector("button")).replaceChildren();
  const id = `${form.id}-problem`;
  document.getElementById(id)?.remove();
  field.after(element("span", { id, class: "said error", role: "alert" }, error.message));
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", id);
  field.closest("details")?.setAttribute("open", "");
  field.focus();
  field.addEventListener("input", () => {
    document.getElementById(id)?.remove();
    field.removeAttribute("aria-invalid");
  }, { once: true });
  return true;
}
