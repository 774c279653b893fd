"""Write the pages and plots in `results/`, with the machine and the versions that were measured.

The benchmarks are in the modules of the same names as the pages.
"""

import datetime
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from benchmarks.contenders import PEERS
from benchmarks.servers import install

RESULTS = Path(__file__).with_name("results")
OURS = ("numpy", "flask", "pydantic", "gunicorn")


@dataclass(frozen=True)
class Table:
    """A table of figures; the first column has their names. `note` is printed below the table."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def __str__(self) -> str:
        """Return the table as Markdown."""
        lines = [f"## {self.title}", "", *map(_line, (self.header, ["---"] * len(self.header)))]
        lines += map(_line, self.rows)
        return "\n".join([*lines, "", *([self.note, ""] if self.note else [])])


@dataclass(frozen=True)
class Plot:
    """A plot of named bars, with the bar `marked` highlighted, or of curves on logarithmic axes."""

    title: str
    x: str
    y: str = ""
    bars: Mapping[str, float] = field(default_factory=dict)
    marked: str = ""
    curves: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def machine() -> str:
    """Return a sentence with the date, the machine, and the versions of Python and packages."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in info if line.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    ours = ", ".join(f"{name} {version(name)}" for name in OURS)
    return (
        f"Measured on {datetime.datetime.now(datetime.UTC):%Y-%m-%d}, on {os.cpu_count()} shared "
        f"cores ({model or platform.machine()}), {memory:.0f} GiB, {platform.system()} "
        f"{platform.release().partition('-')[0]}, Python {platform.python_version()}, {ours}."
    )


def peers(*packages: str) -> str:
    """Return a sentence with the versions in the environments of other servers."""
    requirements = (
        line.partition("#")[0].strip()
        for name in packages
        for line in (PEERS / f"{name}.txt").read_text().splitlines()
    )
    return f"Others: {', '.join(sorted(set(requirements)))}."


def write(
    name: str, title: str, summary: str, tables: Sequence[Table | str], plots: Sequence[Plot] = ()
) -> None:
    """Write tables, or sections, to `results/<name>.md`, and the plots to `results/<name>.svg`."""
    picture = f"![{title}]({name}.svg)\n\n" if plots else ""
    text = f"# {title}\n\n{summary}\n\n{machine()}\n\n{picture}" + "\n".join(map(str, tables))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text.rstrip() + "\n")
    print(text)
    if plots:
        command = [str(install("plot") / "python"), str(PEERS / "plot_app.py")]
        specifications = [{k: v for k, v in asdict(plot).items() if v} for plot in plots]
        subprocess.run(
            [*command, str(RESULTS / f"{name}.svg")],
            input=json.dumps(specifications),
            text=True,
            check=True,
        )
