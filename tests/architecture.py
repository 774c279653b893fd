"""Draws docs/images/architecture.svg from the real imports, by `python -m tests.architecture`.

A box is some modules, an arrow says that those above import those below. What follows from other
arrows is left out, or all would point at everything below.
"""

import textwrap
from dataclasses import dataclass
from pathlib import Path

import grimp

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "architecture.svg"

WIDTH, GAP, LINE, PAD, BETWEEN = 225, 30, 16, 12, 44


@dataclass(frozen=True)
class Box:
    """Modules of a package that belong together, and the column that they are drawn in."""

    column: int
    package: str
    modules: str

    @property
    def lines(self) -> list[str]:
        """Their names as they are written into it."""
        return textwrap.wrap(f"{self.package}: {self.modules}", 30)


BOXES = {
    "the command line": Box(1, "service", "cli"),
    "the worker of gunicorn": Box(
        2, "service", "gunicorn_conf wsgi draining quickly collecting arrival refusals access_log"
    ),
    "the training job": Box(0, "model", "__main__"),
    "HTTP": Box(2, "service", "web"),
    "the trainer": Box(1, "service", "trainer retraining training_data claims"),
    "wiring": Box(1, "service", "bootstrap settings"),
    "jobs": Box(2, "service", "jobs"),
    "measuring": Box(3, "service", "metrics census logs stopping"),
    "decisions": Box(
        2,
        "service",
        "predictions versions comparison promotion_gate verification stepping "
        "infer_request infer_answer tensors decoding batch_json body",
    ),
    "the ledger": Box(2, "service", "observations recording idempotency"),
    "validation": Box(3, "service", "validation"),
    "the database": Box(2, "service", "database instant"),
    "the model repository": Box(
        0, "model", "repository version manifest live_link promotions replay"
    ),
    "learning": Box(0, "model", "training descent wide unrolled step recipe explanation report"),
    "the network": Box(0, "model", "network dataset csvfile"),
}

HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"
  font-family="system-ui, sans-serif" font-size="13">
<title>Which parts import which: every arrow points down</title>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"
  orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#6b7780"/></marker></defs>
<rect width="{width}" height="{height}" rx="12" fill="#f6f4ef"/>"""

Arrow = tuple[str, str]


def box_of(module: str) -> str:
    """Return the box that a module is in, or the package within `service` that it is of."""
    package, name, *_ = module.split(".")
    for title, box in BOXES.items():
        if box.package == package and name in box.modules.split():
            return title
    raise LookupError(f"{module} is in no box of {__name__}")


def imports() -> set[Arrow]:
    """Return which box imports which."""
    graph = grimp.build_graph("model", "service")
    arrows = {
        (box_of(module), box_of(imported))
        for module in graph.modules - {"model", "service"}
        for imported in graph.find_modules_directly_imported_by(module) - {"model", "service"}
    }
    return {(above, below) for above, below in arrows if above != below}


def below(title: str, arrows: set[Arrow]) -> set[str]:
    """Return every box that `title` leads to."""
    found: set[str] = set()
    new = {title}
    while new:
        new = {b for a, b in arrows if a in new} - found
        found |= new
    return found


def drawn(arrows: set[Arrow]) -> set[Arrow]:
    """Leave out those arrows that follow from others."""
    return {(a, b) for a, b in arrows if b not in below(a, arrows - {(a, b)})}


def rows(arrows: set[Arrow]) -> dict[str, int]:
    """Return each box's row: below all that lead to it.

    Raises:
        RecursionError: boxes import each other in a circle.
    """

    def row(title: str) -> int:
        return max((row(a) + 1 for a, b in arrows if b == title), default=0)

    return {title: row(title) for title in BOXES}


def picture() -> str:
    """Return the drawing, as SVG."""
    arrows = drawn(imports())
    row = rows(arrows)
    height = {title: 2 * PAD + LINE * (1 + len(box.lines)) for title, box in BOXES.items()}
    tallest = [max(height[t] for t in BOXES if row[t] == r) for r in range(max(row.values()) + 1)]
    top = [sum(tallest[:r]) + BETWEEN * r + GAP for r in range(len(tallest) + 1)]
    left = {title: GAP + box.column * (WIDTH + GAP) for title, box in BOXES.items()}
    parts = [HEAD.format(width=GAP + 4 * (WIDTH + GAP), height=top[-1] - BETWEEN + GAP)]
    for a, b in sorted(arrows):
        x, y = left[a] + WIDTH // 2, top[row[a]] + height[a]
        to_x, to_y = left[b] + WIDTH // 2, top[row[b]]
        parts.append(
            f'<path d="M{x} {y} C{x} {to_y - 20} {to_x} {y + 20} {to_x} {to_y - 2}" '
            'stroke="#6b7780" stroke-width="1.5" fill="none" marker-end="url(#head)"/>'
        )
    for title, box in BOXES.items():
        x, y = left[title], top[row[title]]
        fill = "#dcefe9" if box.package == "model" else "#ffffff"
        parts.append(
            f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{height[title]}" rx="8" '
            f'fill="{fill}" stroke="#1d2a33"/>'
        )
        for i, line in enumerate([title, *box.lines]):
            style = 'font-weight="600" fill="#1d2a33"' if i == 0 else 'fill="#55636d"'
            parts.append(f'<text x="{x + PAD}" y="{y + PAD + LINE * i + 12}" {style}>{line}</text>')
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
