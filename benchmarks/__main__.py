"""Run every benchmark, one after the other."""

import tempfile
from pathlib import Path

from benchmarks import arithmetic, bulk, ledger, retraining, serving


def main() -> None:
    """Print every figure."""
    for benchmark in (arithmetic, serving, bulk, ledger, retraining):
        with tempfile.TemporaryDirectory() as folder:
            benchmark.main(Path(folder))


if __name__ == "__main__":
    main()
