// The page: its parts, and what becomes of each when something changes.

import { ask, attempt } from "./api.js";
import { inAddress, numbersInAddress, putInAddress } from "./address.js";
import { showDecision, showLamps } from "./corner.js";
import { showCurl } from "./dom.js";
import { listenToObservers, showLedger } from "./ledger.js";
import { drawNetwork } from "./network.js";
import { showPatterns } from "./patterns.js";
import { showPressure } from "./pressure.js";
import { listenToTeachers } from "./retraining.js";
import { learnFrom, listenToSteps } from "./step.js";
import { showVersions } from "./versions.js";

let lights = [];
let known = { live: null, versions: [], levels: [0, 1] };

function lightsInAddress(count) {
  const given = inAddress("lights") ? numbersInAddress("lights") : [];
  return Array.from({ length: count }, (_, i) => (Number.isFinite(given[i]) ? given[i] : known.levels[Number(i !== 1)]));
}

async function showCorner() {
  showLamps(lights, known.levels, (i, value) => choose(lights.map((light, j) => (i === j ? value : light))));
  const [told] = await Promise.all([
    ask("POST", "explain", { body: { lights } }),
    showPatterns(known, lights, choose),
  ]);
  showCurl("predict", "POST", "predict", { lights });
  showDecision(told);
  drawNetwork(told);
}

function choose(chosen) {
  lights = chosen;
  putInAddress("lights", lights.join(","));
  attempt(showCorner);
}

async function refresh() {
  const { live, versions } = await ask("GET", "versions");
  const row = versions.find(({ version }) => version === live);
  known = { live, versions, levels: [row?.off ?? 0, row?.on ?? 1] };
  lights = lightsInAddress(row?.lights ?? 3);
  showVersions(known, refresh);
  const [observations] = await Promise.all([showLedger(refresh), showCorner(), showPressure(live)]);
  learnFrom(observations, lights.length);
}

listenToObservers(() => lights, refresh);
listenToTeachers(refresh);
listenToSteps();
window.addEventListener("hashchange", () => attempt(refresh));
attempt(refresh).then(() => performance.mark("interactive"));
