"""The folders of the page's modules import each other in one direction."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

HOME = Path(str(files("streetlight.service.web.page"))) / "static" / "home"
MODULES = {str(file.relative_to(HOME)): file for file in HOME.rglob("*.js")}
# What the modules of a folder may import besides their own folder; main.js imports any.
ALLOWED = {
    "learning": set[str](),
    "shared": set[str](),
    "stage": {"learning", "shared"},
    "service": {"learning", "shared"},
}


@pytest.mark.parametrize("name", sorted(MODULES.keys() - {"main.js"}))
def test_a_module_imports_only_what_is_below_it(name: str) -> None:
    file = MODULES[name]
    for source in re.findall(r'from "(.+)";$', file.read_text(), re.MULTILINE):
        imported = (file.parent / source).resolve().relative_to(HOME.resolve())
        assert str(imported) in MODULES, source
        assert imported.parts[0] in ALLOWED[file.parent.name] | {file.parent.name}, source


def test_the_arithmetic_does_not_use_the_document() -> None:
    for name, file in MODULES.items():
        if name.startswith("learning/"):
            assert not re.search(r"\b(document|window|location)\b", file.read_text()), name
