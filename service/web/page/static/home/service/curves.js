// Error curves: the error after each iteration, one curve or several for comparison.

import { formatNumber, svgElement } from "../shared/dom.js";

const LINE_STYLES = [
  { stroke: "var(--walk)" },
  { stroke: "var(--stop)", "stroke-dasharray": "8 4" },
  { stroke: "var(--soft)", "stroke-dasharray": "2 3" },
  { stroke: "var(--ink)", "stroke-dasharray": "10 3 2 3" },
];

// `curves` is a list of {name, points}; a point is [iteration, error]. The scale of the error is
// logarithmic, since a training reduces the error by several powers of ten.
export function drawCurves(svg, curves) {
  const nonEmpty = curves.filter(({ points }) => points.length);
  if (!nonEmpty.length) return svg.replaceChildren();
  const log = (error) => Math.log10(Math.max(error, 1e-12));
  const logs = nonEmpty.flatMap(({ points }) => points.map(([, error]) => log(error)));
  const top = Math.ceil(Math.max(...logs)), bottom = Math.min(Math.floor(Math.min(...logs)), top - 1);
  const last = Math.max(...nonEmpty.map(({ points }) => points.at(-1)[0]), 1);
  const x = (iteration) => 60 + (560 * iteration) / last;
  const y = (error) => 20 + (160 * (top - log(error))) / (top - bottom);
  const line = ({ points }) => points
    .map(([iteration, error], i) => `${i ? "L" : "M"}${x(iteration).toFixed(1)} ${y(error).toFixed(1)}`).join(" ");
  const named = nonEmpty.filter(({ name }) => name);
  svg.setAttribute("viewBox", `0 0 640 ${214 + 22 * Math.ceil(named.length / 3)}`);
  svg.replaceChildren(
    svgElement("path", { d: "M60 20 V180 H620", stroke: "var(--soft)", fill: "none" }),
    svgElement("text", { x: 52, y: 26, "text-anchor": "end" }, `1e${top}`),
    svgElement("text", { x: 52, y: 184, "text-anchor": "end" }, `1e${bottom}`),
    svgElement("text", { x: 620, y: 204, "text-anchor": "end" }, `${last} iterations`),
    ...nonEmpty.map((curve, i) =>
      svgElement("path", { d: line(curve), "stroke-width": 3, fill: "none", ...LINE_STYLES[i % LINE_STYLES.length] })),
    ...named.flatMap(({ name, points }, i) => {
      const [left, base] = [60 + 190 * (i % 3), 230 + 22 * Math.floor(i / 3)];
      return [
        svgElement("path", { d: `M${left} ${base - 5} h30`, "stroke-width": 3, ...LINE_STYLES[i % LINE_STYLES.length] }),
        svgElement("text", { x: left + 38, y: base }, `${name}: ${formatNumber(points.at(-1)[1])}`),
      ];
    }),
  );
}
