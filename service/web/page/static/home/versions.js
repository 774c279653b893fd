// Versions: which one is live, and how each learnt.

import { ask, attempt } from "./api.js";
import { numbersInAddress, putInAddress } from "./address.js";
import { drawCurves } from "./curves.js";
import { byId, element, number, table } from "./dom.js";

export function showVersions({ live, versions }, changed) {
  const act = (method, path, told) => attempt(async () => {
    const answer = await ask(method, path, { curl: "versions" });
    byId("switched").textContent = told(answer);
    await changed();
  });
  byId("rollback").onclick = () => act("POST", "rollback", (answer) => `Version ${answer.live} is live.`);
  const chosen = new Set(numbersInAddress("curves").filter((n) => versions.some((row) => row.version === n)));
  const choose = (n, ticked) => {
    if (ticked) chosen.add(n);
    else chosen.delete(n);
    putInAddress("curves", [...chosen].join(","));
    return showCurves([...chosen]);
  };
  attempt(() => showCurves([...chosen]));
  table(byId("version-table"), ["version", "curve", "learnt from", "error", "accuracy", "what to do"], versions.map((row) => {
    const n = row.version;
    const name = n === live ? `★ ${n} (live)` : String(n);
    if (row.damaged) return { cells: [name, "", row.damaged, "", "", ""] };
    const buttons = element("span", {},
      n === live ? "" : element("button", {
        type: "button", "aria-label": `promote version ${n}`,
        onclick: () => act("POST", `versions/${n}/promote`, () => `Version ${n} is live.`),
      }, "promote"), " ",
      element("button", {
        type: "button", "aria-label": `verify version ${n}`,
        onclick: () => act("POST", `versions/${n}/verify`, (answer) =>
          answer.identical ? `Version ${n}: trained again, identical bit for bit.` : `Version ${n} differs: ${answer.differs.join(", ")}.`),
      }, "verify"), " ",
      element("a", { href: `versions/${n}/weights`, download: true }, ".npz"));
    const curve = element("input", {
      type: "checkbox", checked: chosen.has(n), "aria-label": `show the curve of version ${n}`,
      onchange: ({ target }) => attempt(() => choose(n, target.checked)),
    });
    return {
      kind: n === live ? "now" : null,
      cells: [name, curve, `${row.rows} rows, ${row.dataset}`, number(row.error), `${number(100 * row.accuracy)} %`, buttons],
    };
  }));
}

// The curves of those versions that are ticked.
async function showCurves(chosen) {
  const details = await Promise.all(chosen.map((n) => ask("GET", `versions/${n}`, { curl: "versions" })));
  drawCurves(byId("version-curves"), details.map(({ version, errors }) => ({ name: `version ${version}`, points: errors })));
}
