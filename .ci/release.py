"""Print the changes of a release: `python .ci/release.py v0.2.0`.

Exits with an error unless the tag, the version of the package and the newest heading of the
changelog name the same version.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def changes(tag: str, package: str, changelog: str) -> str:
    """Return the newest section of the changelog, without its heading."""
    [version] = re.findall(r'^__version__ = "(.+)"$', package, re.MULTILINE)
    heading, _, section = changelog.partition("\n## ")[2].partition("\n## ")[0].partition("\n")
    if not tag == f"v{version}" == f"v{heading}":
        raise SystemExit(
            f"expected the tag v{version} and, at the top of CHANGELOG.md, the heading {version}, "
            f"as src/streetlight/__init__.py says; got the tag {tag} and the heading {heading}"
        )
    return section.strip()


if __name__ == "__main__":
    [tag] = sys.argv[1:]
    package = (ROOT / "src" / "streetlight" / "__init__.py").read_text(encoding="utf-8")
    print(changes(tag, package, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
