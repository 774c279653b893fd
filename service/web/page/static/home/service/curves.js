// Error curves of the service's trainings: the error after each pass, one curve or several.

import { svgElement } from "../shared/dom.js";
import { formatNumber } from "../shared/numbers.js";

const COLOURS = ["var(--positive)", "var(--negative)", "var(--soft)", "var(--ink)"];
const DASHES = ["none", "8 4", "2 3", "10 3 2 3"];
// The style of curve `i`; those of 16 curves differ.
const styleOf = (i) => ({ "stroke-width": 2.5, stroke: COLOURS[i % 4], "stroke-dasharray": DASHES[(i + Math.floor(i / 4)) % 4] });
// The lowest error of the scale, which is logarithmic.
const LOWEST = -4;

// `curves` is a list of {name, points}; a point is [pass, error].
export function drawCurves(svg, curves) {
  const nonEmpty = curves.filter(({ points }) => points.length);
  if (!nonEmpty.length) return svg.replaceChildren();
  const log = (error) => Math.max(Math.log10(Math.max(error, 1e-300)), LOWEST);
  const logs = nonEmpty.flatMap(({ points }) => points.map(([, error]) => log(error)));
  const top = Math.max(Math.ceil(Math.max(...logs)), LOWEST + 1), bottom = Math.min(Math.floor(Math.min(...logs)), top - 1);
  const last = Math.max(...nonEmpty.map(({ points }) => points.at(-1)[0]), 1);
  // As wide as its place, so that the text keeps its size.
  const width = Math.min(Math.max(svg.parentElement.clientWidth, 260), 720);
  const columns = Math.max(1, Math.floor((width - 60) / 190));
  const x = (pass) => 60 + ((width - 70) * pass) / last;
  const y = (level) => 14 + (160 * (top - level)) / (top - bottom);
  const line = ({ points }) => points
    .map(([pass, error], i) => `${i ? "L" : "M"}${x(pass).toFixed(1)} ${y(log(error)).toFixed(1)}`).join(" ");
  const ticks = [];
  for (let level = top; level >= bottom; level -= Math.ceil((top - bottom) / 6)) ticks.push(level);
  const named = nonEmpty.filter(({ name }) => name);
  svg.setAttribute("viewBox", `0 0 ${width} ${204 + 22 * Math.ceil(named.length / columns)}`);
  svg.replaceChildren(
    ...ticks.flatMap((level) => [
      svgElement("path", { d: `M60 ${y(level)} H${width - 10}`, stroke: "var(--line)" }),
      svgElement("text", { x: 52, y: y(level) + 5, "text-anchor": "end", class: "soft" }, formatNumber(10 ** level)),
    ]),
    svgElement("text", { x: width - 10, y: 194, "text-anchor": "end", class: "soft" }, `pass ${last}`),
    ...nonEmpty.map((curve, i) =>
      svgElement("path", { d: line(curve), fill: "none", class: "line", ...styleOf(i) })),
    ...named.flatMap(({ name, points }, i) => {
      const [left, base] = [60 + 190 * (i % columns), 218 + 22 * Math.floor(i / columns)];
      return [
        svgElement("path", { d: `M${left} ${base - 5} h30`, ...styleOf(i) }),
        svgElement("text", { x: left + 38, y: base }, `${name}: ${formatNumber(points.at(-1)[1])}`),
      ];
    }),
  );
}
