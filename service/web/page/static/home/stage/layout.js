// Where the drawing of a network places its nodes, and the labels of its lines.

const TOP = 48; // the names of the layers
const BOTTOM = 12;
const OUTPUT_RADIUS = 42;
// A gap between two layers with more lines than this has no labels.
const MAX_LABELS = 20;
const LABEL = { width: 50, height: 30 };

// Return {nodes, radii, labels} for layers of `sizes` in a picture of `width` x `height`:
//   nodes[d][i]: the position of a node
//   radii[d]: the radius of the nodes of a layer
//   labels[d][i][j]: the position of the label of a line; labels[d] is null where there are too many
export function layout(sizes, width, height) {
  const last = sizes.length - 1;
  const space = (size) => (height - TOP - BOTTOM) / size;
  const left = 84;
  const right = width - OUTPUT_RADIUS - 28;
  // The last gap is wider by a part of the output.
  const gap = (right - left - OUTPUT_RADIUS / 2) / last;
  const radii = sizes.map((size, d) => (d === last ? OUTPUT_RADIUS : Math.max(4, Math.min(28, space(size) * 0.34, gap * 0.28))));
  const nodes = sizes.map((size, d) => Array.from({ length: size }, (_, i) => ({
    x: d === last ? right : left + gap * d,
    // The figure above the output needs more room than the goal below it.
    y: TOP + space(size) * (i + 0.5) + (d === last ? 24 : 0),
  })));
  const labels = nodes.slice(1).map((targets, d) => {
    const fits = nodes[d].length * targets.length <= MAX_LABELS && gap - radii[d] - radii[d + 1] > 1.5 * LABEL.width;
    const ends = [radii[d] + LABEL.width / 2, gap - radii[d + 1] - LABEL.width / 2];
    return fits ? placeLabels(nodes[d], targets, ends.map((x) => x / gap)) : null;
  });
  return { nodes, radii, labels };
}

// Place each label on its line, between the parts `low` and `high` of the line, away from the other lines
// and labels. A second round moves labels away from those that were placed later.
function placeLabels(sources, targets, [low, high]) {
  const lines = sources.flatMap((from) => targets.map((to) => ({ from, to })));
  const at = ({ from, to }, t) => ({ x: from.x + t * (to.x - from.x), y: from.y + t * (to.y - from.y) });
  const placed = lines.map(() => null);
  for (const line of [...lines.keys(), ...lines.keys()]) {
    let bestScore = -Infinity;
    const others = placed.filter((label, k) => label && k !== line);
    for (let t = low; t <= high; t += 0.02) {
      const point = at(lines[line], t);
      const overlap = Math.min(1, ...others.map(({ x, y }) =>
        Math.max(Math.abs(x - point.x) / LABEL.width, Math.abs(y - point.y) / LABEL.height)));
      const clearance = Math.min(1, ...lines.map((other, k) =>
        (k === line ? 1 : Math.abs(at(other, t).y - point.y) / LABEL.height)));
      const score = 12 * overlap + clearance - Math.abs(t - 0.5);
      if (score > bestScore) [bestScore, placed[line]] = [score, point];
    }
  }
  return sources.map((_, i) => targets.map((__, j) => placed[i * targets.length + j]));
}
