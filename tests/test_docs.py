"""The documentation is true: every shell block runs, and generated pages match the code.

A block is ```console: lines after `$ ` are commands, what follows is their output, `…` stands for
anything, and an answer may go on where the block ends with `…`. `make serve` starts the server that
the commands after it talk to; it runs on another port and in a folder of its own.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import architecture, reference, tables
from tests.server import DEADLINE, environment, free_port

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "streetlight"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@dataclass
class Command:
    line: str
    expected: str


def commands(page: Path) -> Iterator[Command]:
    """Every command of a page, in order."""
    for language, block in re.findall(
        r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    ):
        assert language in ("console", ""), f"{page.name}: a {language} block would not be tested"
        if language == "":
            assert "$ " not in block
            continue
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, expected = part.partition("\n")
            yield Command(line, expected)


def matches(expected: str, said: str) -> bool:
    pattern = ".*".join(map(re.escape, expected.strip().split("…")))
    return re.fullmatch(pattern, said.strip(), re.DOTALL) is not None


class Shell:
    """Runs a page's commands as its reader would, but on another port and in a new folder."""

    def __init__(self, folder: Path, page: list[Command]) -> None:
        self.folder = folder
        self.port = str(free_port())
        self.server: subprocess.Popen[str] | None = None
        scripts = Path(sys.executable).parent
        (folder / ".venv").mkdir()
        (folder / ".venv" / "bin").symlink_to(scripts)
        # A page without a retraining needs no trainer, which takes as long to start as the server.
        trainer = any("retrain" in command.line for command in page)
        self.environment = environment(data_dir="data", port=self.port, workers=2, trainer=trainer)
        # What the reader's machine makes of `make serve` is made already, in this environment.
        self.environment["VENV"] = str(scripts.parent)
        self.environment.pop("MAKEFLAGS", None)

    def run(self, command: Command) -> None:
        line = command.line.replace("8000", self.port)
        expected = command.expected.replace("8000", self.port)
        if line == "make serve":
            said = self.serve(expected)
        else:
            line = re.sub(r"^curl ", "curl -sS ", line)
            said = subprocess.run(
                ["bash", "-c", line],
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=DEADLINE,
                check=False,
            ).stdout
        assert matches(expected, said), f"$ {line}\nexpected:\n{expected}\ngot:\n{said}"

    def serve(self, expected: str) -> str:
        """Start the server by the page's own command and read on until all is said."""
        makefile = ["make", "--silent", "--file", str(ROOT / "Makefile"), "--directory", str(ROOT)]
        self.environment["STREETLIGHT_DATA_DIR"] = str(self.folder / "data")
        self.server = subprocess.Popen(
            [*makefile, "serve"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.environment["STREETLIGHT_DATA_DIR"] = "data"
        timer = threading.Timer(DEADLINE, self.server.kill)
        timer.start()
        said = ""
        assert self.server.stdout is not None
        for line in self.server.stdout:
            said += line
            if matches(expected, said):
                break
        timer.cancel()
        return said

    def close(self) -> None:
        if self.server:
            os.killpg(self.server.pid, signal.SIGTERM)
            self.server.communicate(timeout=DEADLINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_answers_as_the_page_says(page: Path, tmp_path: Path) -> None:
    blocks = list(commands(page))
    shell = Shell(tmp_path, blocks)
    try:
        for command in blocks:
            shell.run(command)
    finally:
        shell.close()


def test_the_comparison_can_fail() -> None:
    assert matches("a…c\n", "abc\n")
    assert not matches("a…c\n", "abcd\n")
    assert not matches("walk", "stop")


def test_the_map_shows_the_folders_that_there_are() -> None:
    code_map = README[README.index("## The code") :]
    shown, parent = set(), ""
    for indent, name in re.findall(r"^( {0,2})([a-z]+)/ ", code_map, re.MULTILINE):
        parent = parent if indent else name
        shown.add(f"{parent}/{name}" if indent else name)
    packages = [*SOURCE.glob("model/*/__init__.py"), *SOURCE.glob("service/*/__init__.py")]
    there = {str(package.parent.relative_to(SOURCE)) for package in packages}
    assert {folder for folder in shown if "/" in folder} == there
    assert {"model", "service", "tests"} <= shown


def test_a_module_of_a_package_is_not_at_the_root_of_the_service() -> None:
    assert {path.stem for path in SOURCE.glob("service/*.py")} == {"__init__", "config", "wiring"}


def test_every_make_target_is_in_the_contributing_guide_and_in_the_help() -> None:
    help_text = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"serve", "test", "storm"} <= set(targets)
    for target in targets:
        assert re.search(rf"^{target} ", help_text, re.MULTILINE)
        assert f"`make {target}`" in guide


def test_the_readme_is_one_screen() -> None:
    assert len(README.splitlines()) <= 150


def test_what_is_generated_is_as_the_code_is() -> None:
    for file, generated in (
        (architecture.PICTURE, architecture.picture()),
        (reference.PAGE, reference.reference()),
        (tables.ROUTES, tables.routes()),
        (tables.SETTINGS, tables.settings()),
    ):
        assert file.read_text(encoding="utf-8") == generated, "run make docs"


def test_the_picture_has_an_arrow_for_every_import_and_no_other() -> None:
    arrows = architecture.imports()
    drawn = architecture.drawn(arrows)
    for above, below in arrows:
        assert below in architecture.below(above, drawn)
    for above, below in drawn:
        assert (above, below) in arrows
        assert (below, above) not in arrows
    boxes = {box for arrow in arrows for box in arrow}
    packages = {path.parent.name for path in SOURCE.glob("service/*/__init__.py")}
    assert boxes == {"model", "service.config", "service.wiring"} | {
        f"service.{p}" for p in packages
    }


def test_every_test_that_is_named_exists() -> None:
    for page in PAGES:
        for file, name in re.findall(r"`(test_\w+\.py)::(\w+)`", page.read_text(encoding="utf-8")):
            [source] = (ROOT / "tests").rglob(file)
            assert f"def {name}(" in source.read_text(encoding="utf-8"), f"{page}: {file}::{name}"


def anchors(page: Path) -> set[str]:
    """Return the fragments that GitHub gives to the headings of a page."""
    found: Counter[str] = Counter()
    names = set()
    for heading in re.findall(r"^#+ (.+)$", without_blocks(page), re.MULTILINE):
        text = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w -]", "", text).replace(" ", "-")
        names.add(f"{slug}-{found[slug]}" if slug in found else slug)
        found[slug] += 1
    return names


def without_blocks(page: Path) -> str:
    """Return the text of a page without its code blocks."""
    return re.sub(
        r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )


def test_every_link_leads_somewhere() -> None:
    others = [page for folder in ("benchmarks", "deploy") for page in (ROOT / folder).rglob("*.md")]
    for page in [*PAGES, *others]:
        for link in re.findall(r"\]\(([^)\s]+)\)", without_blocks(page)):
            if link.startswith("http"):
                continue
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), f"{page}: {link}"
            if anchor:
                assert anchor in anchors(target), f"{page}: {link}"


def test_anchors_are_those_of_github(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `layer_0`, here: 2\n```\n# no heading\n```\n## [Old](new.md) text\n## Old text\n",
        encoding="utf-8",
    )
    assert anchors(page) == {"a-layer_0-here-2", "old-text", "old-text-1"}


def test_the_glossary_defines_each_term_once_in_one_sentence() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = []
    for section in re.split(r"^## ", glossary, flags=re.MULTILINE)[1:]:
        term, _, definition = section.partition("\n")
        terms.append(term)
        assert re.fullmatch(r"[^.]([^.]|\.(?!\s))+\.", definition.strip()), term
    assert terms == sorted(set(terms), key=str.lower)
