// Where the drawing of a network places its nodes, and the labels of its lines.

const TOP = 48; // the names of the layers
const BOTTOM = 12;
const OUTPUT_RADIUS = 42;
// A gap between two layers with more lines than this has no labels.
const MAX_LABELS = 20;
const LABEL = { width: 50, height: 30 };

// Return {nodes, radii, labels} for layers of `sizes` in a picture of `pictureWidth` x `height`:
//   nodes[d][i]: the position of a node
//   radii[d]: the radius of the nodes of a layer
//   labels[d][i][j]: the position of the label of a line; labels[d] is null where there are too many
export function layout(sizes, pictureWidth, height) {
  const last = sizes.length - 1;
  const space = (size) => (height - TOP - BOTTOM) / size;
  const radii = sizes.map((size, d) => (d === last ? OUTPUT_RADIUS : Math.max(4, Math.min(28, space(size) * 0.34))));
  const left = 60 + radii[0];
  const right = pictureWidth - OUTPUT_RADIUS - 28;
  const nodes = sizes.map((size, d) => Array.from({ length: size }, (_, i) => ({
    x: left + ((right - left) * d) / last,
    // The figure above the output needs more room than the goal below it.
    y: TOP + space(size) * (i + 0.5) + (d === last ? 24 : 0),
  })));
  const labels = nodes.slice(1).map((targets, d) => {
    const width = targets[0].x - nodes[d][0].x;
    const fits = nodes[d].length * targets.length <= MAX_LABELS && width - radii[d] - radii[d + 1] > 1.5 * LABEL.width;
    const ends = [radii[d] + LABEL.width / 2, width - radii[d + 1] - LABEL.width / 2];
    return fits ? placeLabels(nodes[d], targets, ends.map((x) => x / width)) : null;
  });
  return { nodes, radii, labels };
}

// Place each label on its line, between the parts `low` and `high` of the line, away from the other lines
// and from the labels that are placed already.
function placeLabels(sources, targets, [low, high]) {
  const placed = [];
  const lines = sources.flatMap((from, i) => targets.map((to, j) => ({ from, to, i, j })));
  const at = ({ from, to }, t) => ({ x: from.x + t * (to.x - from.x), y: from.y + t * (to.y - from.y) });
  const labels = sources.map(() => []);
  for (const line of lines) {
    let best;
    for (let t = low; t <= high; t += 0.04) {
      const point = at(line, t);
      const overlap = Math.min(1, ...placed.map(({ x, y }) =>
        Math.max(Math.abs(x - point.x) / LABEL.width, Math.abs(y - point.y) / LABEL.height)));
      const clearance = Math.min(LABEL.height, ...lines.map((other) =>
        (other === line ? LABEL.height : Math.abs(at(other, t).y - point.y))));
      const score = 4 * overlap + clearance / LABEL.height - Math.abs(t - 0.5);
      if (!best || score > best.score) best = { ...point, score };
    }
    placed.push(best);
    labels[line.i][line.j] = best;
  }
  return labels;
}
