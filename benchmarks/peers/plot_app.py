"""Draw the plots that `benchmarks.results` sends as JSON: bars, or curves on logarithmic axes."""

import json
import sys

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams |= {"svg.hashsalt": "streetlight", "svg.fonttype": "none", "font.size": 9}

from matplotlib import pyplot as plt  # noqa: E402 - after the backend is chosen


def draw(plot: dict, axes: plt.Axes) -> None:
    """Draw one plot on `axes`."""
    axes.set_title(plot["title"], loc="left", fontsize=10)
    axes.set_xlabel(plot["x"])
    if bars := plot.get("bars"):
        names = list(bars)[::-1]
        colours = ["#b5521b" if name == plot["marked"] else "#3f7f93" for name in names]
        patches = axes.barh(names, [bars[name] for name in names], color=colours)
        axes.bar_label(patches, fmt="{:,.4g}", padding=3, fontsize=8)
        axes.margins(x=0.12)
    for name, points in plot.get("curves", {}).items():
        axes.loglog(*zip(*points, strict=True), "o-", label=name, markersize=3)
    if "curves" in plot:
        axes.set_ylabel(plot["y"])
        axes.legend(frameon=False, fontsize=8)
        axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    plots = json.load(sys.stdin)
    height = sum(max(2.6, 0.24 * len(plot.get("bars", ())) + 0.9) for plot in plots)
    figure, panels = plt.subplots(
        len(plots), 1, figsize=(7.6, height), squeeze=False, layout="constrained"
    )
    for plot, (axes,) in zip(plots, panels, strict=True):
        draw(plot, axes)
    figure.savefig(sys.argv[1], format="svg", metadata={"Date": None})
