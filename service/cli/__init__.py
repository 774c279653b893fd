"""The command line: `streetlight serve | work | train | retrain | import | predict | config | …`.

All commands but `serve` and `work` use the data directory and the database directly, whether or not
a server is running. Importing the modules below adds their commands to the group.
"""

from streetlight.service.cli import (
    archive,
    check,
    config,
    database,
    monitoring,
    predict,
    processes,
    registry,
    retraining,
)
from streetlight.service.cli.group import main

__all__ = [
    "archive",
    "check",
    "config",
    "database",
    "main",
    "monitoring",
    "predict",
    "processes",
    "registry",
    "retraining",
]
