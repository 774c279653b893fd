// The API, asked; its errors as sentences at the top, and its key, if it wants one.

import { byId, showCurl } from "./dom.js";

const KEY = "streetlight-key";

export class ApiError extends Error {}

export async function ask(method, path, { body, curl, type } = {}) {
  if (curl) showCurl(curl, method, path, body, type);
  const headers = {};
  const key = sessionStorage.getItem(KEY);
  if (key && method !== "GET") headers.Authorization = `Bearer ${key}`;
  if (type) headers["Content-Type"] = type;
  const sent = body === undefined || type ? body : JSON.stringify(body);
  const response = await fetch(path, { method, headers, body: sent });
  if (response.status === 401 && (await askForKey())) {
    return ask(method, path, { body, curl, type });
  }
  const told = await response.json();
  if (!response.ok) throw new ApiError(told.error);
  return told;
}

function askForKey() {
  const dialog = byId("key-dialog");
  sessionStorage.removeItem(KEY);
  byId("key").value = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const use = dialog.returnValue === "use" && byId("key").value;
      if (use) sessionStorage.setItem(KEY, byId("key").value);
      resolve(Boolean(use));
    }, { once: true });
  });
}

// Do something, and tell what is wrong where it fails.
export async function attempt(action) {
  try {
    await action();
    byId("trouble").hidden = true;
  } catch (error) {
    const sentence = error instanceof ApiError ? error.message : `the server doesn't answer (${error.message})`;
    byId("trouble").textContent = sentence;
    byId("trouble").hidden = false;
  }
}
