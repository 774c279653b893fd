"""The command line: `streetlight serve | work | train | retrain | import | predict | versions | …`.

Every command but `serve` and `work` works on the data directory alone, whether a server runs or
not. Importing the modules adds their commands to the group.
"""

from streetlight.service.cli import processes, registry, retraining
from streetlight.service.cli.group import main

__all__ = ["main", "processes", "registry", "retraining"]
