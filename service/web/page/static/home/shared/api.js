// Requests to the API, with the API key if the server requires one, and the display of errors.

import { byId, showCurl } from "./dom.js";

const KEY = "streetlight-key";

export class ApiError extends Error {}

// Send a request and return the JSON response; `curl` names the element that shows the command.
export async function callApi(method, path, { body, curl, type } = {}) {
  if (curl) showCurl(curl, method, path, body, type);
  const headers = {};
  const key = sessionStorage.getItem(KEY);
  if (key && method !== "GET") headers.Authorization = `Bearer ${key}`;
  if (type) headers["Content-Type"] = type;
  const data = body === undefined || type ? body : JSON.stringify(body);
  const response = await fetch(path, { method, headers, body: data });
  if (response.status === 401 && (await promptForKey())) {
    return callApi(method, path, { body, curl, type });
  }
  const result = await response.json();
  if (!response.ok) throw new ApiError(result.error);
  return result;
}

function promptForKey() {
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

// Run `action`; if it fails, show the error at the top of the page.
export async function attempt(action) {
  try {
    await action();
    byId("trouble").hidden = true;
  } catch (error) {
    const message = error instanceof ApiError ? error.message : `the server can't be reached (${error.message})`;
    byId("trouble").textContent = message;
    byId("trouble").hidden = false;
  }
}
