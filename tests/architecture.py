"""Draw docs/images/architecture.svg from the imports: `python -m tests.architecture`.

A box is a package of `service/`, a module at its root, or all of `model/`; its text is the first
sentence of its docstring. An arrow points from a box to a box that it imports. Arrows that follow
from other arrows are omitted.
"""

import textwrap
from importlib.util import find_spec
from pathlib import Path
from xml.sax.saxutils import escape

import grimp

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "images" / "architecture.svg"

PACKAGE = "streetlight"
WIDTH, GAP, LINE, PAD, BETWEEN = 225, 30, 16, 12, 44

HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"
  font-family="system-ui, sans-serif" font-size="13">
<title>Which packages import which: every arrow points down</title>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"
  orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#6b7780"/></marker></defs>
<rect width="{width}" height="{height}" rx="12" fill="#f6f4ef"/>"""

Arrow = tuple[str, str]


def box_of(module: str) -> str:
    """Return the box that a module is drawn in, such as `service.web`."""
    _, *names = module.split(".")
    return ".".join(names[: 1 if names[0] == "model" else 2])


def imports() -> set[Arrow]:
    """Return the imports between boxes."""
    graph = grimp.build_graph(PACKAGE)
    service = graph.find_descendants(f"{PACKAGE}.service")
    arrows = {
        (box_of(module), box_of(imported))
        for module in service
        for imported in graph.find_modules_directly_imported_by(module) - {f"{PACKAGE}.service"}
    }
    return {(above, below) for above, below in arrows if above != below}


def below(box: str, arrows: set[Arrow]) -> set[str]:
    """Return every box that `box` imports, directly or through others."""
    found: set[str] = set()
    new = {box}
    while new:
        new = {b for a, b in arrows if a in new} - found
        found |= new
    return found


def drawn(arrows: set[Arrow]) -> set[Arrow]:
    """Return the arrows that don't follow from other arrows."""
    return {(a, b) for a, b in arrows if b not in below(a, arrows - {(a, b)})}


def rows(arrows: set[Arrow]) -> dict[str, int]:
    """Return the row of each box, below all boxes that import it.

    Raises:
        RecursionError: the imports between the boxes form a cycle.
    """

    def row(box: str) -> int:
        return max((row(a) + 1 for a, b in arrows if b == box), default=0)

    return {box: row(box) for box in sorted({box for arrow in arrows for box in arrow})}


def text_of(box: str) -> list[str]:
    """Return the lines of text in a box: its path, and the start of its docstring."""
    spec = find_spec(f"{PACKAGE}.{box}")
    assert spec
    assert spec.origin
    docstring = Path(spec.origin).read_text(encoding="utf-8").split('"""')[1]
    first = " ".join(docstring.partition("\n\n")[0].split()).rstrip(".")
    name = box.replace(".", "/") + ("/" if spec.submodule_search_locations else ".py")
    return [name, *textwrap.wrap(first, 32)]


def picture() -> str:
    """Return the drawing, as SVG."""
    arrows = drawn(imports())
    row = rows(arrows)
    text = {box: text_of(box) for box in row}
    levels = [[box for box in row if row[box] == r] for r in range(max(row.values()) + 1)]
    heights = [2 * PAD + LINE * max(len(text[box]) for box in level) for level in levels]
    top = [GAP + sum(heights[:r]) + BETWEEN * r for r in range(len(levels))]
    width = GAP + max(map(len, levels)) * (WIDTH + GAP)
    left = {
        box: (width - len(level) * (WIDTH + GAP) + GAP) // 2 + i * (WIDTH + GAP)
        for level in levels
        for i, box in enumerate(level)
    }
    parts = [HEAD.format(width=width, height=top[-1] + heights[-1] + GAP)]
    for a, b in sorted(arrows):
        x, y = left[a] + WIDTH // 2, top[row[a]] + heights[row[a]]
        to_x, to_y = left[b] + WIDTH // 2, top[row[b]]
        parts.append(
            f'<path d="M{x} {y} C{x} {y + 30} {to_x} {to_y - 40} {to_x} {to_y - 2}" '
            'stroke="#6b7780" stroke-width="1.5" fill="none" marker-end="url(#head)"/>'
        )
    for box, lines in text.items():
        x, y = left[box], top[row[box]]
        fill = "#dcefe9" if box == "model" else "#ffffff"
        parts.append(
            f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{heights[row[box]]}" rx="8" '
            f'fill="{fill}" stroke="#1d2a33"/>'
        )
        for i, line in enumerate(lines):
            style = 'font-weight="600" fill="#1d2a33"' if i == 0 else 'fill="#55636d"'
            at = f'x="{x + PAD}" y="{y + PAD + LINE * i + 12}"'
            parts.append(f"<text {at} {style}>{escape(line)}</text>")
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
