// The service's half of the page: load the data, show all parts, and refresh them after changes.

import { attempt, callApi } from "../shared/api.js";
import { getNumbers, getParameter, setParameter } from "../shared/address.js";
import { showDecision, showLights } from "./corner.js";
import { showCurl } from "../shared/dom.js";
import { setUpObservationForm, showLedger } from "./ledger.js";
import { drawNetwork } from "./network.js";
import { showPatterns } from "./patterns.js";
import { showPressure } from "./pressure.js";
import { setUpRetraining } from "./retraining.js";
import { setExamples, setUpStepForm } from "./step.js";
import { showVersions } from "./versions.js";

let lights = [];
let state = { live: null, versions: [], levels: [0, 1] };

// The lights in the URL; without them, all on except light 1.
function lightsFromUrl(count) {
  const stored = getParameter("lights") ? getNumbers("lights") : [];
  return Array.from({ length: count }, (_, i) => (Number.isFinite(stored[i]) ? stored[i] : state.levels[Number(i !== 1)]));
}

async function showCorner() {
  showLights(lights, state.levels, (i, value) => setLights(lights.map((light, j) => (i === j ? value : light))));
  const [explanation] = await Promise.all([
    callApi("POST", "explain", { body: { lights } }),
    showPatterns(state, lights, setLights),
  ]);
  showCurl("predict", "POST", "predict", { lights });
  showDecision(explanation);
  drawNetwork(explanation);
}

function setLights(newLights) {
  lights = newLights;
  setParameter("lights", lights.join(","));
  attempt(showCorner);
}

async function refresh() {
  const { live, versions } = await callApi("GET", "versions");
  const row = versions.find(({ version }) => version === live);
  state = { live, versions, levels: [row?.off ?? 0, row?.on ?? 1] };
  lights = lightsFromUrl(row?.lights ?? 3);
  showVersions(state, refresh);
  const [observations] = await Promise.all([showLedger(refresh), showCorner(), showPressure(row)]);
  setExamples(observations, lights.length);
}

export function startService() {
  setUpObservationForm(() => lights, refresh);
  setUpRetraining(refresh);
  setUpStepForm();
  window.addEventListener("hashchange", () => attempt(refresh));
  attempt(refresh).then(() => performance.mark("interactive"));
}
