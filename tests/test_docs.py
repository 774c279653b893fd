"""The documentation is true: every shell block runs, and generated pages match the code.

In a block ```console, lines after `$ ` are commands, and what follows is their output. A block
```sh is one script that can be pasted as it stands, and the block ```text right after it is its
output; without one, it has no output. `…` stands for any text, so an output that ends with `…` may
be longer. The blocks ```python of a page are one program, whose output is compared in the same way.
`make serve`, with settings before it, starts the server that the commands after it send
requests to; a page without it sends them to a server whose state it must not change.
"""

import io
import re
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from streetlight.model.dataset import THRESHOLD
from tests import architecture, reference, tables, tutorial_pictures
from tests.server import DEADLINE, ForkedServer, Server, environment
from tests.service.conftest import until

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "streetlight"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$(?:\n+```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
README = (ROOT / "README.md").read_text(encoding="utf-8")


@dataclass
class Command:
    line: str
    expected: str
    python: bool = False


def commands(page: Path) -> list[Command]:
    """Return every command of a page, in order."""
    found = []
    for language, block, output in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language in ("sh", "python"):
            found.append(Command(block, output, language == "python"))
        elif language == "console":
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                line, _, expected = part.partition("\n")
                found.append(Command(line, expected))
    return found


WITH_COMMANDS = [page for page in PAGES if commands(page)]


def is_serve(command: Command) -> bool:
    """Return whether a command starts the server."""
    return command.line.rstrip().endswith("make serve")


def matches(expected: str, output: str) -> bool:
    pattern = ".*".join(map(re.escape, expected.strip().split("…")))
    return re.fullmatch(pattern, output.strip(), re.DOTALL) is not None


class MakeServe(Server):
    """The server that `make serve` starts."""

    command = ("make", "--silent", f"--directory={ROOT}", "serve")


class Shell:
    """Runs the commands of a page like a reader, but on another port and in a new folder.

    Where the page says `make serve`, the README's server is started by make, and that of another
    page by a fork, which takes less time.
    """

    def __init__(self, folder: Path, server: Server) -> None:
        scripts = Path(sys.executable).parent
        (folder / ".venv").mkdir()
        (folder / ".venv" / "bin").symlink_to(scripts)
        self.server = server
        self.folder = folder
        self.environment = environment(data_dir="data", port=server.port)
        self.names: dict[str, object] = {}

    def run(self, command: Command, stack: ExitStack) -> None:
        """Run a command, and compare its output; the server stops when `stack` is closed."""
        line = command.line.replace(":8000", f":{self.server.port}")
        expected = command.expected.replace(":8000", f":{self.server.port}")
        if is_serve(command):
            settings = re.findall(
                r"STREETLIGHT_(\w+)=(\S+)", line.replace("$PWD", str(self.folder))
            )
            self.server.settings |= {name.lower(): value for name, value in settings}
            log = stack.enter_context(self.server).log
            until(lambda: matches(expected + "…", log.read_text()))
            return
        output = self._run_python(line) if command.python else self._run_shell(line)
        assert matches(expected, output), f"{line}\nexpected:\n{expected}\ngot:\n{output}"

    def _run_python(self, code: str) -> str:
        with redirect_stdout(io.StringIO()) as output:
            exec(code, self.names)  # noqa: S102 - the page is ours
        return output.getvalue()

    def _run_shell(self, line: str) -> str:
        return subprocess.run(
            ["bash", "-c", re.sub(r"^curl ", "curl -sS ", line)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE,
            check=False,
        ).stdout


@pytest.mark.process
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_answers_as_the_page_says(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    # `make serve` installs the environment on the reader's machine; here, it is installed already.
    monkeypatch.setenv("VENV", str(Path(sys.executable).parents[1]))
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    lines = commands(page)
    if any(map(is_serve, lines)):
        # Without a retraining, a page needs no trainer, which takes as long to start as the server.
        trainer = any("retrain" in command.line for command in lines)
        kind = MakeServe if page.name == "README.md" else ForkedServer
        server: Server = kind(tmp_path / "data", workers=2, trainer=trainer)
    else:
        server = request.getfixturevalue("shared_server")
    shell = Shell(tmp_path, server)
    with ExitStack() as stack:
        for command in lines:
            shell.run(command, stack)
            # The answers of the tutorial don't depend on how often a reader repeats a step.
            if page.parent.name == "tutorial" and not is_serve(command):
                shell.run(command, stack)


def test_every_block_of_commands_is_tested() -> None:
    for page in PAGES:
        for language, block, output in BLOCK.findall(page.read_text(encoding="utf-8")):
            assert language in ("sh", "python") or not output, page
            assert language in ("console", "sh", "python") or (
                language == "" and "$ " not in block
            ), page


def test_the_comparison_can_fail() -> None:
    assert matches("a…c\n", "abc\n")
    assert not matches("a…c\n", "abcd\n")
    assert not matches("walk", "stop")


def test_the_map_of_the_readme_shows_every_folder() -> None:
    code_map = README[README.index("## The code") :]
    shown, parent = set(), ""
    for indent, name in re.findall(r"^( {0,2})([a-z_]+)/ ", code_map, re.MULTILINE):
        parent = parent if indent else name
        shown.add(f"{parent}/{name}" if indent else name)
    packages = [*SOURCE.glob("model/*/__init__.py"), *SOURCE.glob("service/*/__init__.py")]
    there = {str(package.parent.relative_to(SOURCE)) for package in packages}
    assert {folder for folder in shown if "/" in folder} == there
    assert {"model", "service", "tests"} <= shown


def test_a_module_of_a_package_is_not_at_the_root_of_the_service() -> None:
    assert {path.stem for path in SOURCE.glob("service/*.py")} == {"__init__", "wiring"}


@pytest.mark.process
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


def test_generated_pages_match_the_code() -> None:
    for file, generated in (
        (architecture.PICTURE, architecture.picture()),
        (reference.PAGE, reference.reference()),
        (tables.CLIENT, tables.client()),
        (tables.CLIENTS, tables.clients()),
        (tables.ROUTES, tables.routes()),
        (tables.RULE, tables.rule()),
        (tables.SETTINGS, tables.settings()),
    ):
        assert file.read_text(encoding="utf-8") == generated, "run make docs"


def test_the_pictures_of_the_tutorial_are_those_of_the_service() -> None:
    for name, picture in tutorial_pictures.pictures().items():
        file = tutorial_pictures.IMAGES / f"{name}.svg"
        assert file.read_text(encoding="utf-8") == picture, "run make docs"


def test_every_picture_is_shown_on_a_page() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for picture in (ROOT / "docs" / "images").iterdir():
        assert f"images/{picture.name})" in pages, picture


def test_the_picture_has_an_arrow_for_every_import_and_no_other() -> None:
    arrows = architecture.imports()
    drawn = architecture.drawn(arrows)
    for above, below in arrows:
        assert below in architecture.below(above, drawn)
    for above, below in drawn:
        assert (below, above) not in arrows
    boxes = {box for arrow in arrows for box in arrow}
    packages = {path.parent.name for path in SOURCE.glob("service/*/__init__.py")}
    assert boxes == {"model", "service.wiring"} | {f"service.{p}" for p in packages}


def test_every_test_that_is_named_exists() -> None:
    for page in PAGES:
        for file, name in re.findall(
            r"`((?:\w+/)?test_\w+\.py)::(\w+)`", page.read_text(encoding="utf-8")
        ):
            [source] = [*(ROOT / "tests").rglob(file), *(ROOT / ".ci").glob(file)]
            assert f"def {name}(" in source.read_text(encoding="utf-8"), f"{page}: {file}::{name}"


def test_every_promise_names_its_tests() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    promises = page.partition("| promise | test |\n|---|---|\n")[2].partition("\n\n")[0]
    for promise in promises.splitlines():
        assert re.search(r"\| `[\w/]+\.py::test_\w+`.* \|$", promise), promise


def test_every_failure_in_the_architecture_is_caused_by_a_test_with_a_process() -> None:
    """A row of the table names tests, and each of them has the marker `process`."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    _, _, table = page.partition("## What a failure costs")
    rows = re.findall(r"^\| (?!what fails)(.+?) \|.*\| (.*?) \|$", table, re.MULTILINE)
    assert len(rows) >= 8
    for failure, tests in rows:
        named = re.findall(r"`(test_\w+\.py)::(\w+)`", tests)
        assert named, f"{failure}: expected a test in the last column"
        for file, name in named:
            [source] = (ROOT / "tests").rglob(file)
            marked = (
                rf"^pytestmark = (\[\n +)?.*process|^@pytest\.mark\.process\n(@.*\n)*def {name}\("
            )
            assert re.search(marked, source.read_text(encoding="utf-8"), re.MULTILINE), name


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


@pytest.mark.parametrize(
    "path",
    [
        "docs/glossary.md",
        "docs/reference.md",
        "service/inference/result.py",
        "service/web/page/static/home/learning/network.js",
    ],
)
def test_the_threshold_in_a_text_is_that_of_the_code(path: str) -> None:
    assert f" {THRESHOLD}" in (ROOT / path).read_text(encoding="utf-8")


def test_the_glossary_defines_each_term_once_in_one_sentence() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = []
    for section in re.split(r"^## ", glossary, flags=re.MULTILINE)[1:]:
        term, _, definition = section.partition("\n")
        terms.append(term)
        assert re.fullmatch(r"[^.]([^.]|\.(?!\s))+\.", definition.strip()), term
    assert terms == sorted(set(terms), key=str.lower)
