"""Run all benchmarks, or those that are named: `python -m benchmarks serving training`."""

import sys
import tempfile
from importlib import import_module
from pathlib import Path

ALL = "serving one_request bulk retraining training growth ledger arithmetic"


def main(names: list[str]) -> None:
    """Run them, each in a folder of its own.

    Raises:
        SystemExit: there is none of a name.
    """
    if unknown := set(names) - set(ALL.split()):
        raise SystemExit(f"expected some of: {ALL}; got {', '.join(sorted(unknown))}")
    for name in names or ALL.split():
        with tempfile.TemporaryDirectory() as folder:
            import_module(f"benchmarks.{name}").main(Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
