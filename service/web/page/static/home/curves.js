// Errors as they fall, iteration by iteration: one curve, or several to compare.

import { number, shape } from "./dom.js";

const LOOKS = [
  { stroke: "var(--walk)" },
  { stroke: "var(--stop)", "stroke-dasharray": "8 4" },
  { stroke: "var(--soft)", "stroke-dasharray": "2 3" },
  { stroke: "var(--ink)", "stroke-dasharray": "10 3 2 3" },
];

// `curves` is a list of {name, points}, points of [iteration, error]. The scale is logarithmic,
// since an error falls by powers of ten.
export function drawCurves(svg, curves) {
  const drawn = curves.filter(({ points }) => points.length);
  if (!drawn.length) return svg.replaceChildren();
  const log = (error) => Math.log10(Math.max(error, 1e-12));
  const logs = drawn.flatMap(({ points }) => points.map(([, error]) => log(error)));
  const top = Math.ceil(Math.max(...logs)), bottom = Math.min(Math.floor(Math.min(...logs)), top - 1);
  const last = Math.max(...drawn.map(({ points }) => points.at(-1)[0]), 1);
  const x = (iteration) => 60 + (560 * iteration) / last;
  const y = (error) => 20 + (160 * (top - log(error))) / (top - bottom);
  const line = ({ points }) => points
    .map(([iteration, error], i) => `${i ? "L" : "M"}${x(iteration).toFixed(1)} ${y(error).toFixed(1)}`).join(" ");
  const named = drawn.filter(({ name }) => name);
  svg.setAttribute("viewBox", `0 0 640 ${214 + 22 * Math.ceil(named.length / 3)}`);
  svg.replaceChildren(
    shape("path", { d: "M60 20 V180 H620", stroke: "var(--soft)", fill: "none" }),
    shape("text", { x: 52, y: 26, "text-anchor": "end" }, `1e${top}`),
    shape("text", { x: 52, y: 184, "text-anchor": "end" }, `1e${bottom}`),
    shape("text", { x: 620, y: 204, "text-anchor": "end" }, `${last} iterations`),
    ...drawn.map((curve, i) =>
      shape("path", { d: line(curve), "stroke-width": 3, fill: "none", ...LOOKS[i % LOOKS.length] })),
    ...named.flatMap(({ name, points }, i) => {
      const [left, base] = [60 + 190 * (i % 3), 230 + 22 * Math.floor(i / 3)];
      return [
        shape("path", { d: `M${left} ${base - 5} h30`, "stroke-width": 3, ...LOOKS[i % LOOKS.length] }),
        shape("text", { x: left + 38, y: base }, `${name}: ${number(points.at(-1)[1])}`),
      ];
    }),
  );
}
