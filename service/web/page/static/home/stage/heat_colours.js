// The colours of the heat maps, from the style sheet's custom properties, for canvases.

const pixel = Object.assign(document.createElement("canvas"), { width: 1, height: 1 })
  .getContext("2d", { willReadFrequently: true });
const dark = matchMedia("(prefers-color-scheme: dark)");
let colours = new Map();
dark.addEventListener("change", () => { colours = new Map(); });

// Return red, green and blue of a custom property such as `--walk-fill`.
function colour(name) {
  if (!colours.has(name)) {
    pixel.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name);
    pixel.fillRect(0, 0, 1, 1);
    colours.set(name, pixel.getImageData(0, 0, 1, 1).data);
  }
  return colours.get(name);
}

// Call `draw` after a change of the colour scheme.
export const onColourChange = (draw) => dark.addEventListener("change", draw);

// Draw a grid of parts from -1, the colour `low`, over 0, the colour of the card, to 1, the colour `high`.
export function drawGrid(canvas, parts, low, high) {
  const [paper, below, above] = ["--card", low, high].map(colour);
  const size = parts.length;
  const image = new ImageData(size, size);
  parts.flat().forEach((part, i) => {
    const share = Math.min(Math.abs(part), 1) || 0;
    const end = part < 0 ? below : above;
    for (let c = 0; c < 3; c += 1) image.data[4 * i + c] = paper[c] + share * (end[c] - paper[c]);
    image.data[4 * i + 3] = 255;
  });
  if (canvas.width !== size) canvas.width = canvas.height = size;
  canvas.getContext("2d").putImageData(image, 0, 0);
}
