"""The bill of materials of an image lists exactly what is installed in it."""

import json
import re
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

SBOM = Path(__file__).parent.parent / "deploy" / "sbom.py"
DPKG = Path("/var/lib/dpkg/status")


def bill_of_materials(*arguments: str) -> Any:
    run = subprocess.run([sys.executable, SBOM, *arguments], capture_output=True, check=True)
    return json.loads(run.stdout)


@pytest.mark.process
def test_the_bill_of_materials_lists_what_is_installed() -> None:
    """Compared with the files of the installations, in the environment of the tests."""
    bill = bill_of_materials()
    listed = [component["purl"] for component in bill["components"]]

    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert len(set(listed)) == len(listed)
    folders = {
        sysconfig.get_path("purelib", vars={"base": base}) for base in (sys.prefix, sys.base_prefix)
    }
    installed = set()
    for folder in folders:
        for path in Path(folder).glob("*.dist-info"):
            name, _, version = path.name.removesuffix(".dist-info").partition("-")
            installed.add(f"pkg:pypi/{re.sub('[-_.]+', '-', name).lower()}@{version}")
    assert {purl for purl in listed if purl.startswith("pkg:pypi/")} == installed
    assert any(purl.startswith("pkg:pypi/streetlight@") for purl in listed)
    debian = [purl for purl in listed if purl.startswith("pkg:deb/")]
    status = DPKG.read_text() if DPKG.exists() else ""
    assert len(debian) == status.count(" ok installed\n")


@pytest.mark.process
def test_the_bill_of_materials_of_the_package_lists_no_system() -> None:
    bill = bill_of_materials("packages")

    assert all(component["purl"].startswith("pkg:pypi/") for component in bill["components"])
    streetlight = bill["metadata"]["component"]
    assert streetlight["purl"] == f"pkg:pypi/streetlight@{version('streetlight')}"
    assert streetlight["type"] == "application"
