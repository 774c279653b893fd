// When the larger views are drawn: always at rest, and while the network moves only if they are in the
// window, and in a part of the time.

// While the network moves, a view is drawn in at most this share of the time.
const SHARE = 0.25;

// Call `draw(stage)` now and after changes of the stage. While it moves, `draw` is called only if
// `container` is in the window, and a call that took long is followed by a pause.
export function drawWhenVisible(stage, container, draw) {
  let isVisible = false;
  let next = 0;
  const update = () => {
    const start = performance.now();
    if (isMoving(stage) && (!isVisible || start < next)) return;
    draw(stage);
    next = start + (performance.now() - start) / SHARE;
  };
  new IntersectionObserver((entries) => {
    isVisible = entries.at(-1).isIntersecting;
  }).observe(container);
  stage.subscribe(update);
}

export const isMoving = (stage) => stage.playing || stage.phase.name !== "rest";
