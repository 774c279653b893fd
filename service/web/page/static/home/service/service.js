// The service's half of the page: load its data, show all parts, and follow what changes in it.

import { getNumbers, getParameter, setParameter } from "../shared/address.js";
import { callApi, keyIsNeededToRead } from "../shared/api.js";
import { coalesce } from "../shared/coalesce.js";
import { showCurl } from "../shared/curl.js";
import { byId } from "../shared/dom.js";
import { messageOf } from "../shared/feedback.js";
import { setUpBridge } from "./bridge.js";
import { showDecision, showLights, showNoDecision } from "./corner.js";
import { showHosts } from "./hosts.js";
import { chooseJob, readUnfinishedJobs, updateJob } from "./jobs.js";
import { setUpObservationForm, showLedger } from "./ledger.js";
import { followEvents, showLiveVersion } from "./live.js";
import { loadPatterns, showPatterns } from "./patterns.js";
import { setUpRecipe } from "./recipe.js";
import { loadVersions, setUpVersions, showSelected, showVersions } from "./versions.js";

// Milliseconds between two requests for the same data, however many events there are.
const GAP = 500;
// Milliseconds after which what the server or the network failed to load is loaded again.
const RETRY = 3000;
// Milliseconds between two changes of the URL, which browsers limit.
const URL_GAP = 200;

let lights = [];
let state = { live: undefined, versions: [], levels: [0, 1] };
let ledger = {}; // of the shown rows: the total, and the id of the latest
let latest; // the id of the latest observation, by the last event
const problems = new Map(); // the error of each function that failed to load its data

const liveRow = () => state.versions.find(({ version }) => version === state.live);

// The lights in the URL; without them, all on except light 1.
function lightsFromUrl(count) {
  const stored = getParameter("lights") ? getNumbers("lights") : [];
  return Array.from({ length: count }, (_, i) => (Number.isFinite(stored[i]) ? stored[i] : state.levels[Number(i !== 1)]));
}

const setLight = (i, value) => setLights(lights.map((light, j) => (i === j ? value : light)));

function setLights(newLights) {
  lights = newLights;
  storeLights();
  showCorner();
}

const storeLights = coalesce(async () => setParameter("lights", lights.join(",")), URL_GAP);

function showCorner() {
  showLights(lights, state.levels, setLight);
  showPatterns(lights, setLights);
  return explain();
}

// Return a function that loads data by `action`, one request at a time, and again later if the server
// or the network fails. The errors are shown at the head of the service's half.
function loader(action, gap) {
  let retry;
  const load = coalesce(async () => {
    clearTimeout(retry);
    try {
      await action();
      problems.delete(load);
    } catch (error) {
      problems.set(load, messageOf(error));
      if (error.isTemporary) retry = setTimeout(load, RETRY);
    }
    const trouble = byId("trouble");
    const text = [...new Set(problems.values())].join(" ");
    if (trouble.textContent !== text) trouble.textContent = text;
    trouble.hidden = !text;
  }, gap);
  return load;
}

const explain = loader(async () => {
  if (state.live === null) return showNoDecision("No version is live: promote one below.");
  const asked = lights;
  showCurl("predict", "POST", "predict", { lights: asked }, { withKey: keyIsNeededToRead() });
  try {
    const explanation = await callApi("POST", "explain", { body: { lights: asked } });
    if (asked.length === lights.length) showDecision(explanation, setLight);
  } catch (error) {
    showNoDecision(messageOf(error));
    throw error;
  }
});

const refreshPatterns = loader(async () => {
  try {
    await loadPatterns(state, lights.length);
  } finally {
    showPatterns(lights, setLights);
  }
});

const refreshVersions = loader(async () => {
  const { live, versions } = await loadVersions();
  const changed = live !== state.live || versions[0]?.version !== state.versions[0]?.version;
  const row = versions.find(({ version }) => version === live);
  state = { live, versions, levels: [row?.off ?? 0, row?.on ?? 1] };
  showLiveVersion(live);
  if (changed) {
    const count = row?.lights ?? 3;
    if (lights.length !== count) lights = lightsFromUrl(count);
  }
  await Promise.all([showVersions(state), ...(changed ? [showCorner(), refreshPatterns()] : [])]);
}, GAP);

const refreshLedger = loader(async () => {
  ledger = await showLedger(latest, state.levels, refreshLedger);
}, GAP);

const refreshJobs = loader(async () => {
  const { jobs } = await callApi("GET", "jobs?limit=10");
  jobs.reverse().forEach(updateJob);
});

export async function startService(stage) {
  setUpObservationForm(() => lights, refreshLedger);
  setUpRecipe(chooseJob);
  setUpVersions(refreshVersions);
  setUpBridge(stage, liveRow);
  window.addEventListener("hashchange", () => {
    lights = lightsFromUrl(lights.length);
    showCorner();
    showSelected();
    refreshVersions(); // the version in the URL may be an old one
  });
  await refreshVersions();
  await refreshLedger();
  performance.mark("interactive");
  followEvents({
    observations(event) {
      if (latest !== undefined) refreshVersions(); // they count the observations that each decided
      latest = event.latest;
      if (event.total !== ledger.total || event.latest !== ledger.latest) refreshLedger();
    },
    live({ live }) {
      if (live !== state.live) refreshVersions();
    },
    versions: () => refreshVersions(), // also if a file was overwritten
    jobs: updateJob,
    hosts: ({ hosts }) => showHosts(hosts),
  }, readUnfinishedJobs, () => {
    refreshVersions();
    refreshLedger();
    refreshJobs();
  });
}
