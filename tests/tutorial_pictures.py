"""Draw the tutorial's pictures from answers of the service: `python -m tests.tutorial_pictures`.

The bytes depend on the answers alone, so a test compares them. The screenshots of the page are in
`tests.page.pictures`.
"""

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.client import App

IMAGES = Path(__file__).parents[1] / "docs" / "images"
START = {"weights": {"weights_0_1": [[0.5], [0.48], [-0.7]]}}
EQUAL = {"weights": {"weights_0_1": [[0.1], [0.1], [0.1]]}}
LIGHTS = ["left", "middle", "right"]
# Positive weights are blue, negative ones orange and dashed, as on the page.
STYLE = """\
text{font:14px system-ui,sans-serif;fill:#333}
.grid{stroke:#ccc}.curve{fill:none;stroke:#333;stroke-width:2}
.positive{stroke:#0072b2}.negative{stroke:#e69f00;stroke-dasharray:6 4}
text.positive{fill:#0072b2;stroke:none}text.negative{fill:#9a5b00;stroke:none}
.node{fill:#fff;stroke:#333;stroke-width:2}.off{opacity:.4}
.middle{text-anchor:middle}.end{text-anchor:end}.number{font-variant-numeric:tabular-nums}
@media(prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#555}.curve,.node{stroke:#ddd}
.node{fill:#222}text.positive,.positive{stroke:#56b4e9}text.positive{fill:#56b4e9;stroke:none}
text.negative{fill:#e69f00}}
"""
DASHES = ["none", "8 4", "2 4"]

Json = dict[str, Any]
Point = tuple[float, float]


def svg(width: int, height: int, parts: Iterator[str]) -> str:
    """Return a picture."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
    body = "\n".join(parts)
    return f'{head} width="{width}" height="{height}">\n<style>{STYLE}</style>\n{body}\n</svg>\n'


def text(x: float, y: float, content: str, kind: str = "") -> str:
    """Return a text; `kind` is its class."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{content}</text>'


def line(start: Point, end: Point, kind: str, width: float = 1) -> str:
    """Return a line; `kind` is its class."""
    (x1, y1), (x2, y2) = start, end
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} class="{kind}" stroke-width="{width:.1f}"/>'


def curves(series: dict[str, list[float]], ticks: list[float], *, log: bool = False) -> str:
    """Return a picture of values by pass, on a linear or a logarithmic scale."""
    left, top, width, height = 60, 12, 420, 240
    scale = math.log10 if log else float
    low, high = scale(ticks[0]), scale(ticks[-1])

    def y(value: float) -> float:
        share = (scale(max(value, ticks[0]) if log else value) - low) / (high - low)
        return top + height * (1 - share)

    def parts() -> Iterator[str]:
        for tick in ticks:
            yield line((left, y(tick)), (left + width, y(tick)), "grid")
            yield text(left - 8, y(tick) + 5, f"{tick:.6f}".rstrip("0").rstrip("."), "end number")
        passes = len(next(iter(series.values())))
        for tick in range(0, passes + 1, 10):
            yield text(left + width * tick / passes, top + height + 20, str(tick), "middle number")
        yield text(left + width / 2, top + height + 42, "pass", "middle")
        below = math.inf
        lowest_first = sorted(series.items(), key=lambda item: item[1][-1])
        for (label, values), dash in zip(lowest_first, DASHES, strict=True):
            points = " ".join(
                f"{left + width * i / passes:.1f},{y(value):.1f}"
                for i, value in enumerate(values, start=1)
            )
            yield f'<polyline points="{points}" class="curve" stroke-dasharray="{dash}"/>'
            below = min(y(values[-1]) + 5, below - 16)  # two labels don't overlap
            yield text(left + width + 8, below, label)

    return svg(640, 310, parts())


def pressure_table(pressure: Json) -> str:
    """Return a picture of the weight-pressure table of a two-layer network."""

    def cell(column: int, y: float, value: float) -> str:
        kind = "positive" if value > 0 else "negative"
        sign = f"{'▲' if value > 0 else '▼'} {abs(value):.1f}" if value else "·"
        return text(240 + 110 * column, y, sign, f"{kind if value else ''} middle number")

    def parts() -> Iterator[str]:
        yield text(20, 24, "row")
        for column, light in enumerate(LIGHTS):
            yield text(240 + 110 * column, 24, light, "middle")
        rows = [
            (
                " ".join(f"{light:.0f}" for light in row["lights"])
                + (" → walk" if row["outcome"] else " → stop"),
                row["pressure"],
            )
            for row in pressure["rows"]
        ]
        rows += [(name, pressure[name]) for name in ("up", "down", "sum")]
        for i, (label, weights) in enumerate(rows):
            y = 54 + 26 * i + (10 if i >= len(pressure["rows"]) else 0)
            yield text(20, y, label, "number")
            for column, [value] in enumerate(weights["weights_0_1"]):
                yield cell(column, y, round(value, 1))
        y = 54 + 26 * len(pressure["rows"]) - 12
        yield line((20, y), (520, y), "grid")

    return svg(540, 300, parts())


def network(weights: dict[str, list[list[float]]], off: set[int]) -> str:
    """Return a picture of a network of three layers, the hidden nodes in `off` drawn faint."""
    layers = [
        [(90.0, 80.0 + 90 * i) for i in range(3)],
        [(330.0, 40.0 + 85 * i) for i in range(4)],
        [(560.0, 168.0)],
    ]

    def parts() -> Iterator[str]:
        for d, matrix in enumerate(weights.values()):
            for i, row in enumerate(matrix):
                for j, weight in enumerate(row):
                    (x1, y1), (x2, y2) = layers[d][i], layers[d + 1][j]
                    kind = "negative" if weight < 0 else "positive"
                    kind += " off" if (i if d else j) in off else ""
                    yield line((x1, y1), (x2, y2), kind, 1 + 3 * abs(weight))
                    if not kind.endswith("off"):
                        share = 0.5 if d else (0.22, 0.42, 0.22)[i]
                        x, y = x1 + (x2 - x1) * share, y1 + (y2 - y1) * share - 6
                        yield text(x, y, f"{weight:.2g}", f"{kind} middle number")
        for d, nodes in enumerate(layers):
            for i, (x, y) in enumerate(nodes):
                faint = " off" if d == 1 and i in off else ""
                yield f'<circle cx="{x}" cy="{y}" r="16" class="node{faint}"/>'
                yield text(x, y + 5, str(i), f"middle{faint}")
            yield text(nodes[0][0], 350, f"layer_{d}", "middle")
        for i, light in enumerate(LIGHTS):
            yield text(64, layers[0][i][1] + 5, light, "end")

    return svg(640, 370, parts())


def pictures() -> dict[str, str]:
    """Return the pictures by name."""
    with tempfile.TemporaryDirectory() as folder, App(Path(folder)) as app:

        def errors(dataset: str, recipe: Json, **body: Json) -> list[float]:
            answer = app.post("/fit", {"dataset": dataset, "recipe": recipe, **body})
            values: list[float] = answer["errors"]
            return values

        path: dict[str, list[float]] = {name: [] for name in LIGHTS}
        for passes in range(1, 41):
            recipe = {"alpha": 0.1, "iterations": passes}
            fit = app.post("/fit", {"dataset": "six", "recipe": recipe, "network": START})
            for values, [weight] in zip(
                path.values(), fit["network"]["weights"]["weights_0_1"], strict=True
            ):
                values.append(weight)
        descents = {
            label: errors(
                "six", {"alpha": 0.1, "iterations": 40, "batch_size": size}, network=START
            )
            for label, size in (("each row", 1), ("two rows", 2), ("all rows", None))
        }
        networks = {
            "three layers, relu": errors("four", {}),
            "two layers": errors("four", {"hidden_sizes": []}),
            "three, linear": errors("four", {"activation": "linear"}),
        }
        trained = app.post("/fit", {"dataset": "four"})["network"]["weights"]
        table = app.post("/pressure", {"dataset": "six", "network": EQUAL})
    return {
        "weights": curves(path, [-1, -0.5, 0, 0.5, 1]),
        "descents": curves(descents, [0.0001, 0.001, 0.01, 0.1, 1, 10], log=True),
        "networks": curves(networks, [0, 1, 2, 3, 4, 5, 6, 7]),
        "pressure": pressure_table(table),
        "network": network(trained, off={0, 2}),
    }


if __name__ == "__main__":
    for name, picture in pictures().items():
        (IMAGES / f"{name}.svg").write_text(picture, encoding="utf-8")
