// The page: the lights are in its address, so that a link shows a class the same corner.

import { ask, attempt } from "./api.js";
import { showDecision, showLamps } from "./corner.js";
import { listenToObservers, showLedger } from "./ledger.js";
import { drawNetwork } from "./network.js";
import { listenToTeachers } from "./retraining.js";
import { showPatterns, showPressure, showVersions } from "./versions.js";
import { showCurl } from "./dom.js";

let lights = [];
let versions = { live: null, versions: [] };

function lightsInAddress(count) {
  const given = new URLSearchParams(location.hash.slice(1)).get("lights")?.split(",").map(Number) ?? [];
  return Array.from({ length: count }, (_, i) => (Number.isFinite(given[i]) ? given[i] : Number(i !== 1)));
}

async function showCorner() {
  showLamps(lights, (i, value) => choose(lights.with(i, value)));
  showCurl("predict", "POST", "predict", { lights });
  const told = await ask("POST", "explain", { body: { lights } });
  showDecision(told);
  drawNetwork(told);
  await showPatterns(versions, lights, choose);
}

function choose(chosen) {
  lights = chosen;
  history.replaceState(null, "", `#lights=${lights.join(",")}`);
  attempt(showCorner);
}

async function refresh() {
  versions = await ask("GET", "versions");
  const live = versions.versions.find((row) => row.version === versions.live);
  lights = lightsInAddress(live?.lights ?? 3);
  showVersions(versions, refresh);
  await showLedger(refresh);
  await showCorner();
  await showPressure(versions.live);
}

listenToObservers(() => lights, refresh);
listenToTeachers(refresh);
window.addEventListener("hashchange", () => attempt(refresh));
attempt(refresh);
