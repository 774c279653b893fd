"""List the mutants that no test kills: `python -m tests.mutants [PATTERN …]`.

A mutant is the code with one small change. mutmut generates the mutants of `[tool.mutmut]` in
`pyproject.toml`, and runs for each of them the tests that call the changed function, until one
fails. It does so in the folder `.mutants/`, whose copy of the code has no symbolic links, and no
decorators that mutmut skips.

mutmut forks a process for each mutant. This module is also a pytest plugin in that process.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import hypothesis
import pytest

from streetlight.model.training import row_pass

WORK = Path(".mutants")
COPIED = ("src", "tests", "pyproject.toml")
# mutmut skips functions with decorators. These decorators can be applied below the function.
DECORATORS = {"property", "cached_property", "contextmanager"}
# Loading all installed plugins takes longer than most mutants. The tests need one of them.
ENVIRONMENT = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OPENBLAS_NUM_THREADS": "1"}
PLUGINS = ["pytest_timeout"]

# The results that mutmut stores, by exit status of pytest; any other status is an error of a test.
SURVIVED, WITHOUT_TESTS = (0,), (5, 33)
TIMED_OUT = (-24, 24, 36, 152, 255)

pytest_plugins = PLUGINS


def main(patterns: list[str]) -> int:
    """Make the copy, run mutmut in it, print the results, and return the exit status of mutmut.

    Args:
        patterns: names of mutants, such as `streetlight.service.learning.lease.*`; all if empty.
    """
    shutil.rmtree(WORK, ignore_errors=True)
    for name in COPIED:
        if Path(name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(name, WORK / name, ignore=ignored)
        else:
            shutil.copy(name, WORK)
    for path in (WORK / "src").rglob("*.py"):
        path.write_text(move_decorators(path.read_text(encoding="utf-8")), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children=2", *patterns]
    run = subprocess.run(command, cwd=WORK, env=os.environ | ENVIRONMENT, check=False)
    if not run.returncode:
        report()
    return run.returncode


def move_decorators(source: str) -> str:
    """Return `source` with the `DECORATORS` applied below their functions."""
    lines = source.split("\n")
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    for function in sorted(functions, key=lambda function: function.lineno, reverse=True):
        match function.decorator_list:
            case [ast.Name(id=name) as decorator] if name in DECORATORS:
                assert function.end_lineno
                applied = f"{' ' * function.col_offset}{function.name} = {name}({function.name})"
                lines.insert(function.end_lineno, applied)
                del lines[decorator.lineno - 1]
    return "\n".join(lines)


def report() -> None:
    """Print the number of mutants of each package by result, and the names of the survivors."""
    survivors = []
    counts: dict[str, Counter[str]] = {}
    for path in sorted((WORK / "mutants/src").rglob("*.meta")):
        package = ".".join(path.relative_to(WORK / "mutants/src/streetlight").parts[:-1])
        for name, status in json.loads(path.read_text())["exit_code_by_key"].items():
            if status is None:
                continue  # not selected by the patterns
            result = _result(status)
            counts.setdefault(package, Counter())[result] += 1
            if result not in ("killed", "timeout"):
                survivors.append(f"{name}: {result}")
    columns = ("killed", "survived", "timeout", "no tests")
    print("\n".join(survivors))
    print(f"\n{'package':<20}", *(f"{column:>9}" for column in (*columns, "score")))
    for package, count in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        score = f"{(count['killed'] + count['timeout']) / max(1, count.total()):.1%}"
        print(f"{package:<20}", *(f"{count[column]:>9}" for column in columns), f"{score:>9}")
    print(f"\nto see a change: cd {WORK} && {Path(sys.executable).with_name('mutmut')} show NAME")


def _result(status: int) -> str:
    if status in SURVIVED:
        return "survived"
    if status in WITHOUT_TESTS:
        return "no tests"
    return "timeout" if status in TIMED_OUT else "killed"


def pytest_configure() -> None:
    """Clear the cache of functions that the parent process generated from the unchanged code."""
    row_pass._compile.cache_clear()


def pytest_collection() -> None:
    """Draw fewer inputs than in other test runs, and don't shrink the first failure."""
    hypothesis.settings.register_profile(
        "mutants",
        hypothesis.settings.get_profile("project"),
        max_examples=20,
        derandomize=True,
        database=None,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
    )
    hypothesis.settings.load_profile("mutants")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the fastest tests first, since the run ends at the first failure."""
    stats = Path("mutmut-stats.json")
    if stats.exists():
        seconds = json.loads(stats.read_text())["duration_by_test"]
        items.sort(key=lambda item: seconds.get(item.nodeid, 0.0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
