// The hosts that share the database: which version each has live, and since when. A single host isn't shown.

import { byId, table } from "../shared/dom.js";

const time = (text) => `${text.slice(0, 19).replace("T", " ")} UTC`;
const stateOf = ({ heard, behind, seen_at: seen }) => (!heard ? `not heard since ${time(seen)}`
  : behind ? "has not applied the last promotion" : "current");

export function showHosts(hosts) {
  byId("hosts").hidden = hosts.length < 2;
  table(byId("host-table"), ["host", "version", "since", "state"], hosts.map((host) => ({
    key: host.name, cells: [host.name, String(host.version ?? "none"), time(host.since), stateOf(host)],
  })));
}

// What an answer to a change of the live version says about the hosts that have not applied it.
export const lagging = ({ lagging: names }) => (names ? ` Not yet on ${names.join(", ")}.` : "");
