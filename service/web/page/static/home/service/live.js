// The page's one event stream, which reports the changes in the service, and the state of its connection.
// What each event changes on the page is in service.js. Not an EventSource, which can't send a key.

import { fetchFrom } from "../shared/api.js";
import { byId, element } from "../shared/dom.js";

// Milliseconds until the next attempt, after the end of a stream and after an error response.
const RECONNECT = 1000;
const RETRY = 3000;

// `listeners` has a function for each kind of event, which is called with the event's data;
// `opened` is called when a stream starts, also after an interruption, and `refused` before each new
// attempt while the server refuses it. While the tab is hidden it has no stream: a browser has six
// connections to a server, for all its tabs.
export function followEvents(listeners, opened, refused) {
  let abort = new AbortController();
  async function follow() {
    abort.abort();
    if (document.hidden) return showConnection("reconnecting");
    const { signal } = (abort = new AbortController());
    const response = await fetchFrom("events", signal).catch(() => null); // the server can't be reached
    if (response?.ok) {
      showConnection("live");
      opened();
      await readEvents(response.body, (kind, data) => listeners[kind]?.(JSON.parse(data)));
    }
    if (signal.aborted) return;
    showConnection("reconnecting");
    const isRefused = response && !response.ok;
    setTimeout(() => {
      if (signal.aborted) return;
      if (isRefused) refused();
      follow();
    }, isRefused ? RETRY : RECONNECT);
  }
  document.addEventListener("visibilitychange", follow);
  follow();
}

// Call `listen` with the kind and the data of each event, until the stream ends or breaks.
async function readEvents(body, listen) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read().catch(() => ({ done: true }));
    if (done) return;
    const events = (text + value).split("\n\n");
    text = events.pop();
    for (const event of events) {
      const { event: kind, data } = Object.fromEntries(event.split("\n").map((line) => line.split(/: (.*)/, 2)));
      try {
        if (kind) listen(kind, data);
      } catch (error) {
        reportError(error); // the next events may be read
      }
    }
  }
}

let version = null;
let connection = "connecting";

export function showLiveVersion(live) {
  version = live;
  show();
}

function showConnection(state) {
  connection = state;
  show();
}

function show() {
  const name = version === null ? "no live version" : `live: version ${version}`;
  const text = connection === "live" ? name : `${name}, ${connection} …`;
  const place = byId("live");
  if (place.dataset.text === text) return;
  place.dataset.text = text;
  place.replaceChildren(text, " ", element("span", { class: `dot ${connection}`, "aria-hidden": true }, connection === "live" ? "●" : "○"));
}
