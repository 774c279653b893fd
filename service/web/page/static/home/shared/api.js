// Requests to the API, with the API key if the server requires one.

import { showCurl } from "./curl.js";
import { byId } from "./dom.js";

const KEY = "streetlight-key";
// The POST requests that change no state, and so need no key.
const READ_ONLY = /^(predict|explain|fit|step|pressure)\b/;

let keyIsWanted = false;
let readsNeedKey = false; // by the server's setting `guard`; known when it has refused a read
let declined = false; // no read asks for the key again; the next change does
let prompt = null;

// An error response, or no response, which has the status 0; `field` names the field of the request at
// fault, if any.
class ApiError extends Error {
  constructor(message, status, field) {
    super(message);
    this.status = status;
    this.field = field;
  }

  // Whether the same request may succeed later.
  get isTemporary() {
    return this.status < 400 || this.status >= 500;
  }
}

// Send a request and return the JSON response. `body` is sent as JSON, or as it is if it is a file
// of the media type `type`; `curl` names the element that shows the command.
export async function callApi(method, path, { body, curl, type, signal } = {}) {
  const changes = method !== "GET" && !READ_ONLY.test(path);
  const key = keyFor(changes);
  const show = () => curl && showCurl(curl, method, path, body,
    { type, file: type && body.name, withKey: (changes && keyIsWanted) || readsNeedKey || key !== null });
  show();
  const headers = authorization(key);
  if (type) headers["Content-Type"] = type;
  const data = body === undefined || type ? body : JSON.stringify(body);
  const response = await fetch(path, { method, headers, body: data, signal }).catch((error) => {
    throw signal?.aborted ? error : new ApiError("The server can't be reached. Try again.", 0);
  });
  const lacksRight = response.status === 403 && response.headers.get("WWW-Authenticate");
  if (response.status === 401 || lacksRight) {
    keyIsWanted = true;
    readsNeedKey ||= !changes;
    show();
    const problem = lacksRight ? (await response.clone().json()).error : key && "This key is not valid.";
    if ((changes || !declined) && await promptForKey(key, problem)) return callApi(method, path, { body, curl, type, signal });
  }
  // A proxy responds with HTML if it can't reach the service.
  const result = await response.json().catch((error) => {
    if (signal?.aborted) throw error;
    throw new ApiError(`The server's response can't be read; its status is ${response.status}. Try again.`, response.status);
  });
  if (!response.ok) throw new ApiError(result.error, response.status, result.details?.[0]?.field);
  return result;
}

// Read `path`, whose response isn't JSON, or doesn't end; it never asks for the key.
export const fetchFrom = (path, signal) => fetch(path, { signal, headers: authorization(keyFor(false)) });

export const keyIsNeededToRead = () => readsNeedKey;

const keyFor = (changes) => (changes || readsNeedKey ? sessionStorage.getItem(KEY) : null);

const authorization = (key) => (key ? { Authorization: `Bearer ${utf8(key)}` } : {});

// A header consists of bytes: for the key, those that curl sends.
const utf8 = (text) => String.fromCharCode(...new TextEncoder().encode(text));

// Ask for the key, once for all requests that wait for it; `rejected` is the key that was sent, and
// `problem` says why it was refused. Return whether there is a key to try.
async function promptForKey(rejected, problem) {
  const stored = sessionStorage.getItem(KEY);
  if (stored && stored !== rejected) return true; // another request has asked meanwhile
  byId("key-problem").textContent = problem ?? "";
  prompt ??= new Promise((resolve) => {
    const dialog = byId("key-dialog");
    byId("key").value = "";
    dialog.returnValue = "";
    dialog.showModal();
    dialog.addEventListener("close", () => {
      const use = dialog.returnValue === "use" && byId("key").value;
      declined = !use;
      if (use) sessionStorage.setItem(KEY, use);
      prompt = null;
      resolve(Boolean(use));
    }, { once: true });
  });
  return prompt;
}
