"""Text output of a training: progress, a summary, and a plot of the error of each pass.

The command that trains is in `__main__`.
"""

import math
from typing import TextIO

import numpy as np

from streetlight.model.dataset import Dataset, FloatArray, outcome_name
from streetlight.model.recipe import Recipe
from streetlight.model.training.fit import Progress, TrainingResult

WIDTH, HEIGHT = 60, 8
MAX_ROWS = 20


class ProgressReport:
    """Prints the progress of a training: a bar on a terminal, else about six lines a run."""

    def __init__(self, recipe: Recipe, stream: TextIO) -> None:
        self.recipe = recipe
        self.stream = stream
        self.is_terminal = stream.isatty()
        # The lab prints a line for every 10 of its 60 iterations.
        self.every = max(1, recipe.iterations // (WIDTH if self.is_terminal else 6))

    def __call__(self, progress: Progress) -> None:
        """Print `progress` at every `self.every`-th iteration and at the last one."""
        iterations = self.recipe.iterations
        if progress.iteration % self.every and progress.iteration != iterations:
            return
        position = f"{progress.iteration:>{len(str(iterations))}}/{iterations}"
        state = f"seed {progress.seed}  error {progress.error:.12g}"
        if not self.is_terminal:
            print(f"iteration {position}  {state}", file=self.stream, flush=True)
            return
        done = 30 * progress.iteration // iterations
        bar = f"\r[{'#' * done:<30}] {position}  {state}\x1b[K"
        print(bar, end="", file=self.stream, flush=True)

    def close(self) -> None:
        """End the line of the progress bar on a terminal."""
        if self.is_terminal:
            print(file=self.stream)


def summary(training: TrainingResult, dataset: Dataset) -> str:
    """Return a plot of the errors, the final error and accuracy, and the first rows with scores."""
    seeds = f"seed {training.seed}"
    if training.runs > 1:
        seeds += f", the best of {training.runs} tried"
    lines = [
        plot(training.errors),
        "",
        f"error     {training.error:.12g} after {len(training.errors)} iterations ({seeds})",
        f"accuracy  {training.accuracy:.1%} of {int(dataset.counts.sum())} observations",
    ]
    if dataset.conflicts:
        lines.append(f"conflicts {dataset.conflicts} light states seen with both outcomes")
    lines += ["", f"{'lights':<24}  {'outcome':<7}  {'decision':<8}  score"]
    scores = training.network.scores(dataset.lights[:MAX_ROWS])
    for lights, mean, score in zip(dataset.lights, dataset.walk_vs_stop, scores, strict=False):
        outcome = outcome_name(mean) if mean in (0, 1) else f"{mean:.3f}"
        state = " ".join(f"{light:g}" for light in lights)
        lines.append(f"{state:<24}  {outcome:<7}  {outcome_name(score):<8}  {score:.6f}")
    if len(dataset) > MAX_ROWS:
        lines.append(f"… and {len(dataset) - MAX_ROWS} more rows")
    return "\n".join(lines)


def plot(errors: FloatArray) -> str:
    """Return a text plot of the error of each pass, on a logarithmic scale."""
    curve = error_curve(errors, WIDTH)
    values = np.log10(np.maximum([error for _, error in curve], 1e-300))
    # If all values are equal, the span is infinite and the plot is a line at the top.
    low, high = float(values.min()), float(values.max())
    span = high - low or math.inf
    rows = [round((high - value) / span * (HEIGHT - 1)) for value in values.tolist()]
    lines = []
    for row in range(HEIGHT):
        label = {0: f"{10**high:.2g}", HEIGHT - 1: f"{10**low:.2g}"}.get(row, "")
        lines.append(f"{label:>8} |" + "".join("*" if at == row else " " for at in rows).rstrip())
    last = str(curve[-1][0])
    lines.append(f"{'':>8} +" + "-" * len(curve))
    lines.append(f"{'':>10}1{last:>{max(len(curve) - 1, len(last) + 1)}}")
    return "\n".join(lines)


def error_curve(errors: FloatArray, points: int) -> list[tuple[int, float]]:
    """Return at most `points` pairs of iteration, from 1, and error, evenly spaced.

    The first and the last error are included.
    """
    indices = np.unique(
        np.linspace(0, len(errors) - 1, min(points, len(errors))).round().astype(int)
    )
    return [(int(i) + 1, float(errors[i])) for i in indices]
