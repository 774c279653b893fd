// The versions: the table with its actions, and the error curves of the selected versions.

import { attempt, callApi } from "../shared/api.js";
import { getNumbers, setParameter } from "../shared/address.js";
import { drawCurves } from "./curves.js";
import { byId, element, formatNumber, formatPercent, table } from "../shared/dom.js";

export function showVersions({ live, versions }, onChange) {
  const act = (method, path, describe) => attempt(async () => {
    const result = await callApi(method, path, { curl: "versions" });
    byId("switched").textContent = describe(result);
    await onChange();
  });
  byId("rollback").onclick = () => act("POST", "rollback", (result) => `Version ${result.live} is live.`);
  const selected = new Set(getNumbers("curves").filter((n) => versions.some((row) => row.version === n)));
  const select = (n, checked) => {
    if (checked) selected.add(n);
    else selected.delete(n);
    setParameter("curves", [...selected].join(","));
    return showCurves([...selected]);
  };
  attempt(() => showCurves([...selected]));
  table(byId("version-table"), ["version", "curve", "trained on", "error", "accuracy", "actions"], versions.map((row) => {
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
        onclick: () => act("POST", `versions/${n}/verify`, (result) =>
          result.identical ? `Version ${n} was trained again: identical bit for bit.` : `Version ${n} was trained again and differs in ${result.differs.join(", ")}.`),
      }, "verify"), " ",
      element("a", { href: `versions/${n}/weights`, download: true }, ".npz"));
    const curve = element("input", {
      type: "checkbox", checked: selected.has(n), "aria-label": `show the curve of version ${n}`,
      onchange: ({ target }) => attempt(() => select(n, target.checked)),
    });
    return {
      kind: n === live ? "now" : null,
      cells: [name, curve, `${row.rows} rows, ${row.dataset}`, formatNumber(row.error), formatPercent(row.accuracy), buttons],
    };
  }));
}

async function showCurves(selected) {
  const details = await Promise.all(selected.map((n) => callApi("GET", `versions/${n}`, { curl: "versions" })));
  drawCurves(byId("version-curves"), details.map(({ version, errors }) => ({ name: `version ${version}`, points: errors })));
}
