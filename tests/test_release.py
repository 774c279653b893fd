"""The version is written in one place, and a release has the changes of its version."""

import re
import runpy
from importlib.metadata import version
from pathlib import Path

import pytest

import streetlight
from tests.client import App, invoke

ROOT = Path(__file__).parent.parent
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
RELEASE = runpy.run_path(str(ROOT / ".ci" / "release.py"))


def test_the_newest_release_of_the_changelog_is_the_version_or_an_older_one() -> None:
    headings = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
    if headings[0] == "Unreleased":
        assert streetlight.__version__ not in headings
        assert ".dev" in streetlight.__version__
    else:
        assert headings[0] == streetlight.__version__
    assert len(set(headings)) == len(headings)


def test_the_installed_package_has_the_version_of_the_code() -> None:
    assert version("streetlight") == streetlight.__version__


def test_users_see_the_version_of_the_code(shared_app: App) -> None:
    assert shared_app.get("/openapi.json")["info"]["version"] == streetlight.__version__
    assert shared_app.get("/")["version"] == streetlight.__version__
    assert invoke("--version").stdout.split()[-1] == streetlight.__version__


def test_a_release_has_the_changes_of_its_version() -> None:
    changelog = "# Changes\n\nWhat users notice.\n\n## 0.3.0\n\n- New.\n\n## 0.2.0\n\n- Old.\n"
    assert RELEASE["changes"]("v0.3.0", '"""A."""\n__version__ = "0.3.0"\n', changelog) == "- New."


@pytest.mark.parametrize(
    ("tag", "package", "heading"),
    [
        ("v0.2.0", "0.3.0", "0.3.0"),
        ("v0.3.0", "0.2.0", "0.3.0"),
        ("v0.3.0", "0.3.0", "Unreleased"),
        ("0.3.0", "0.3.0", "0.3.0"),
    ],
)
def test_a_tag_of_another_version_is_no_release(tag: str, package: str, heading: str) -> None:
    with pytest.raises(SystemExit, match=f"got the tag {tag} and the heading {heading}"):
        RELEASE["changes"](
            tag, f'__version__ = "{package}"\n', f"# Changes\n\n## {heading}\n\n- A.\n"
        )
