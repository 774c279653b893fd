"""Write the pages of the tutorial that the service serves: `python -m tests.tutorial`.

They are made from docs/tutorial.md and docs/tutorial/. A link to a page that isn't served becomes
text.
"""

import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SERVED = ROOT / "service" / "web" / "page" / "static" / "tutorial"
INDEX = DOCS / "tutorial.md"
SERVER = "http://127.0.0.1:8000/"

HTML = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Streetlight</title>
<link rel="icon" href="{root}page/icon.svg">
<link rel="stylesheet" href="{root}page/styles/base.css">
<link rel="stylesheet" href="{root}tutorial/tutorial.css">
<script type="module" src="{root}tutorial/tutorial.js"></script>
</head>
<body>
<header>
<a class="home" href="{root}">Streetlight</a>
{links}
</header>
<main>
{body}</main>
</body>
</html>
"""


def rewritten(link: str, page: Path, root: str) -> str | None:
    """Return the address of a link of `page` on the server; `None` if it isn't served."""
    if link.startswith(SERVER):
        return root + link.removeprefix(SERVER)
    name, hash_sign, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    if target == INDEX:
        return f"{root}tutorial{hash_sign}{anchor}"
    if target.parent == DOCS / "tutorial":
        return f"{root}tutorial/{target.stem}{hash_sign}{anchor}"
    return f"{root}tutorial/{target.name}" if target.suffix == ".svg" else None


def inline(tokens: Sequence[Token], page: Path, root: str) -> Iterator[Token]:
    """Yield the tokens of a text with the links of the server."""
    kept = True
    for token in tokens:
        if token.type == "image":
            token.attrs["src"] = str(rewritten(str(token.attrs["src"]), page, root))
        elif token.type == "link_open":
            address = rewritten(str(token.attrs["href"]), page, root)
            kept = address is not None
            token.attrs["href"] = address or ""
        if kept or token.type not in ("link_open", "link_close"):
            yield token


def html(page: Path) -> str:
    """Return a page of the tutorial as HTML."""
    root = "" if page == INDEX else "../"
    markdown = MarkdownIt("commonmark").enable("table")
    tokens = markdown.parse(page.read_text(encoding="utf-8"))
    for token, text in pairwise(tokens):
        if token.type == "heading_open":
            token.attrs["id"] = re.sub(r"[^\w -]", "", text.content.lower()).replace(" ", "-")
    for token in tokens:
        if token.children:
            token.children = list(inline(token.children, page, root))
    body = markdown.renderer.render(tokens, markdown.options, {})
    # Only a block without a language can be wider than the page; the keyboard must scroll it.
    body = body.replace("<pre><code>", '<pre tabindex="0"><code>')
    links = [f'<a href="{root}tutorial">Tutorial</a>']
    if page != INDEX:
        links.append(f'<a href="{root}#station={page.stem}">See it learn</a>')
    title = escape(tokens[1].content)
    return HTML.format(title=title, root=root or "./", links="\n".join(links), body=body)


def files() -> dict[str, str]:
    """Return the generated files by name: the pages and the pictures in them."""
    pages = {"index.html": html(INDEX)}
    for page in sorted((DOCS / "tutorial").glob("*.md")):
        pages[f"{page.stem}.html"] = html(page)
    pictures = {
        name: (DOCS / "images" / name).read_text(encoding="utf-8")
        for name in re.findall(r'src="[^"]*/(\w+\.svg)"', "".join(pages.values()))
    }
    return pages | pictures


if __name__ == "__main__":
    for name, text in files().items():
        (SERVED / name).write_text(text, encoding="utf-8")
