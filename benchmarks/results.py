"""Results: the pages and pictures in `results/`, with the machine and the versions they hold for.

What is measured, and how, is in the modules that are named as the pages are.
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

from benchmarks.contenders import PEERS, install

RESULTS = Path(__file__).with_name("results")
OURS = ("numpy", "flask", "pydantic", "gunicorn")


@dataclass(frozen=True)
class Table:
    """Figures in rows; the first column names them. `said` stands below."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    said: str = ""

    def __str__(self) -> str:
        """Return it as Markdown."""
        lines = [f"## {self.title}", "", *map(_line, (self.header, ["---"] * len(self.header)))]
        lines += map(_line, self.rows)
        return "\n".join([*lines, "", *([self.said, ""] if self.said else [])])


@dataclass(frozen=True)
class Plot:
    """Bars by their names, one of them marked, or curves of points on logarithmic axes."""

    title: str
    x: str
    y: str = ""
    bars: Mapping[str, float] = field(default_factory=dict)
    marked: str = ""
    curves: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def machine() -> str:
    """Return in a sentence what it was measured on, and with what."""
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
    """Return in a sentence the versions that are in the environments of others."""
    told = (
        line.partition("#")[0].strip()
        for name in packages
        for line in (PEERS / f"{name}.txt").read_text().splitlines()
    )
    return f"Others: {', '.join(sorted(set(told)))}."


def write(
    name: str, title: str, said: str, tables: Sequence[Table], plots: Sequence[Plot] = ()
) -> None:
    """Write `results/<name>.md`, and the plots beside it in one picture."""
    picture = f"![{title}]({name}.svg)\n\n" if plots else ""
    text = f"# {title}\n\n{said}\n\n{machine()}\n\n{picture}" + "\n".join(map(str, tables))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text.rstrip() + "\n")
    print(text)
    if plots:
        command = [str(install("plot") / "python"), str(PEERS / "plot_app.py")]
        told = [{k: v for k, v in asdict(plot).items() if v} for plot in plots]
        subprocess.run(
            [*command, str(RESULTS / f"{name}.svg")],
            input=json.dumps(told),
            text=True,
            check=True,
        )
