// The page's one event stream, which reports the changes in the service, and the state of its connection.
// What each event changes on the page is in service.js.

import { byId, element } from "../shared/dom.js";

// The browser reconnects by itself, except after an error response.
const RETRY = 3000;

// `listeners` has a function for each kind of event, which is called with the event's data;
// `opened` is called when a stream starts, also after an interruption, and `refused` before each new
// attempt while the server refuses it. While the tab is hidden it has no stream: a browser has six
// connections to a server, for all its tabs.
export function followEvents(listeners, opened, refused) {
  let source = null;
  let retry = null;
  function follow() {
    clearTimeout(retry);
    source?.close();
    if (document.hidden) return showConnection("reconnecting");
    source = new EventSource("events");
    for (const [kind, listener] of Object.entries(listeners)) {
      source.addEventListener(kind, (event) => listener(JSON.parse(event.data)));
    }
    source.addEventListener("open", () => {
      showConnection("live");
      opened();
    });
    source.addEventListener("error", () => {
      showConnection("reconnecting");
      if (source.readyState !== EventSource.CLOSED) return;
      retry = setTimeout(() => {
        refused();
        follow();
      }, RETRY);
    });
  }
  document.addEventListener("visibilitychange", follow);
  follow();
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
