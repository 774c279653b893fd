// Requests as curl commands, each with a button that copies it.

import { element } from "./dom.js";

// A longer body is in a file: Linux limits an argument of a command to 128 KiB.
const MAX_ARGUMENT = 100_000;

// Show a request in the element with the attribute data-curl=`name`.
//
// `file` is the name of the file that is sent. With `withKey`, the command has the header with the
// API key: a variable of the shell, never the key itself.
export function showCurl(name, method, path, body, { file, type, withKey = false } = {}) {
  const url = new URL(path, document.baseURI).href;
  const parts = ["curl"];
  if (method !== "GET" && !(method === "POST" && (body || file))) parts.push("-X", method);
  parts.push(/[?&]/.test(url) ? quote(url) : url);
  if (withKey) parts.push("-H", '"Authorization: Bearer $STREETLIGHT_API_KEY"');
  if (file) parts.push("-H", `'Content-Type: ${type}'`, "--data-binary", quote(`@${file}`));
  const json = !file && body ? JSON.stringify(body) : "";
  const saved = json.length > MAX_ARGUMENT ? `${path}.json` : "";
  if (json) parts.push("-d", saved ? `@${saved}` : quote(json));
  const place = document.querySelector(`[data-curl="${name}"]`);
  if (!place.firstChild) {
    place.append(element("code", { tabindex: 0 }), element("button", { type: "button", "aria-label": "copy the command", onclick: () => copy(place) }));
  }
  const [code, button, save] = place.children;
  save?.remove();
  if (saved) place.append(element("button", { type: "button", onclick: () => saveFile(saved, new Blob([json], { type: "application/json" })) }, `save ${saved}`));
  const command = parts.join(" ");
  if (code.textContent === command) return; // what the user has selected in it stays
  code.textContent = command;
  button.textContent = "copy";
}

export function saveFile(name, blob) {
  const href = URL.createObjectURL(blob);
  element("a", { href, download: name }).click();
  URL.revokeObjectURL(href);
}

// Not by `navigator.clipboard`: a page that comes over HTTP from another machine has none.
function copy({ children: [code, button] }) {
  getSelection().selectAllChildren(code);
  button.textContent = document.execCommand("copy") ? "copied" : "selected";
}

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
