// When the larger views are drawn: only while they are in the window, and in a part of the time.

// While the network moves, a view is drawn in at most this share of the time.
const SHARE = 0.25;

// Call `draw(stage)` after changes of the stage, and when `container` comes into the window. While the
// stage moves, a call that took long is followed by a pause; the state at rest is always drawn.
export function drawWhenVisible(stage, container, draw) {
  let isVisible = false;
  let next = 0;
  const update = () => {
    const start = performance.now();
    if (!isVisible || (isMoving(stage) && start < next)) return;
    draw(stage);
    next = start + (performance.now() - start) / SHARE;
  };
  new IntersectionObserver((entries) => {
    isVisible = entries.at(-1).isIntersecting;
    update();
  }).observe(container);
  stage.subscribe(update);
}

export const isMoving = (stage) => stage.playing || stage.phase.name !== "rest";
