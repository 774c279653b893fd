// The size of an element, without a layout in each frame.

// Call `draw` when the size of `element` changes; return a function that returns {width, height}.
export function watchSize(element, draw) {
  let size = { width: 0, height: 0 };
  new ResizeObserver(([{ contentRect: { width, height } }]) => {
    size = { width, height };
    draw();
  }).observe(element);
  return () => size;
}
