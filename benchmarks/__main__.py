"""The command `python -m benchmarks [NAME …]`, which runs all benchmarks or those named."""

import sys
import tempfile
from importlib import import_module
from pathlib import Path

ALL = (
    "serving one_request bulk retraining training growth ledger prediction_log overload arithmetic "
    "exam grouping page hosts"
)


def main(names: list[str]) -> None:
    """Run the benchmarks `names`, or all if it is empty, each in a new temporary folder.

    Raises:
        SystemExit: there is no benchmark of a name.
    """
    if unknown := set(names) - set(ALL.split()):
        raise SystemExit(f"expected names from: {ALL}; got {', '.join(sorted(unknown))}")
    for name in names or ALL.split():
        with tempfile.TemporaryDirectory() as folder:
            import_module(f"benchmarks.{name}").main(Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
