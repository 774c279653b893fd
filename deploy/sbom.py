"""Print a bill of materials as CycloneDX JSON.

`python sbom.py`, inside an image, lists what is installed in it: the Python distributions of this
environment and of its base Python, that Python, and the Debian packages. `python sbom.py packages`
lists only the distributions of this environment. It needs no network, and the same image gives the
same bytes.
"""

import json
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions

Component = dict[str, object]

DEBIAN = "${db:Status-Status} ${Package} ${Version} ${Architecture}\n"


def component(name: str, version: str, purl: str) -> Component:
    """Return a component with its package URL."""
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
    }


def python_component(distribution: Distribution) -> Component:
    """Return the component of a Python distribution, with its licence if that is an expression."""
    name = re.sub(r"[-_.]+", "-", distribution.name).lower()
    found = component(name, distribution.version, f"pkg:pypi/{name}@{distribution.version}")
    if "License-Expression" in distribution.metadata:
        found["licenses"] = [{"expression": distribution.metadata["License-Expression"]}]
    return found


def debian_components() -> Iterator[Component]:
    """Yield the components of the installed Debian packages; none on other systems."""
    if shutil.which("dpkg-query") is None:
        return
    command = ["dpkg-query", "--show", f"--showformat={DEBIAN}"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        status, name, version, architecture = line.split(" ")
        if status == "installed":
            escaped = version.replace("+", "%2B").replace(":", "%3A").replace("~", "%7E")
            yield component(name, version, f"pkg:deb/debian/{name}@{escaped}?arch={architecture}")


def bill_of_materials(packages_only: bool) -> dict[str, object]:
    """Return the bill of materials of `streetlight` as a JSON object."""
    folders = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    components = []
    if not packages_only:
        folders.add(sysconfig.get_path("purelib", vars={"base": sys.base_prefix}))
        python = platform.python_version()
        components = [
            component("python", python, f"pkg:generic/python@{python}"),
            *debian_components(),
        ]
    components += map(python_component, distributions(path=sorted(folders)))
    unique = {str(found["bom-ref"]): found for found in components}
    [subject] = [ref for ref in unique if ref.startswith("pkg:pypi/streetlight@")]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": unique[subject] | {"type": "application", "bom-ref": "subject"}},
        "components": [found for _, found in sorted(unique.items())],
    }


if __name__ == "__main__":
    print(json.dumps(bill_of_materials(packages_only=sys.argv[1:] == ["packages"]), indent=1))
