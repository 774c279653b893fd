"""Run every benchmark, one after the other."""

import tempfile
from pathlib import Path

from benchmarks import arithmetic, ledger, retraining, serving


def main() -> None:
    """Print every figure."""
    for benchmark in (arithmetic, serving, ledger, retraining):
        with tempfile.TemporaryDirectory() as folder:
            benchmark.main(Path(folder))


if __name__ == "__main__":
    main()
