// The line on which a grid of values crosses a level, by marching squares.

// Return the data of an SVG path. values[y][x] is the value at the point (x, y).
export function contour(values, level) {
  const segments = [];
  for (let y = 0; y + 1 < values.length; y += 1) {
    for (let x = 0; x + 1 < values[y].length; x += 1) {
      const corners = [[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]];
      const crossings = corners
        .map((corner, i) => crossing(values, level, corner, corners[(i + 1) % 4]))
        .filter(Boolean);
      for (let i = 0; i + 1 < crossings.length; i += 2) segments.push(`M${crossings[i]}L${crossings[i + 1]}`);
    }
  }
  return segments.join("");
}

// Return the point between two neighbours where the value is `level`, or null.
function crossing(values, level, [x1, y1], [x2, y2]) {
  const [a, b] = [values[y1][x1], values[y2][x2]];
  if (a > level === b > level) return null;
  const part = isFinite(a) && isFinite(b) ? (level - a) / (b - a) : 0.5;
  return [x1 + part * (x2 - x1), y1 + part * (y2 - y1)].map((place) => place.toFixed(2)).join(" ");
}
