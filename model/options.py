"""The options of the command `python -m streetlight.model`, which are those of `streetlight train`.

What the command does is in `__main__`.
"""

import argparse
from pathlib import Path
from typing import Any, get_args

from streetlight.model.dataset import LAB_DATASETS, Repeats
from streetlight.model.network import Activation
from streetlight.model.recipe import Recipe


def parser(prog: str, models: Path) -> argparse.ArgumentParser:
    """Return the parser of the options; `models` is the default of `--models`."""
    default = Recipe()
    options = argparse.ArgumentParser(
        prog=prog,
        description="Train a network, publish it as the next version and make that version live.",
        epilog="Exit status: 0 on success; 1 if training diverged, so no version was published, or "
        "missed the target error, so the version was not promoted, or if --if-missing found "
        "versions of which none is live; 2 if an option, the data or the folder is invalid.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )

    def option(name: str, **settings: Any) -> None:  # noqa: ANN401 - argparse's own signature
        value = getattr(default, name.removeprefix("--").replace("-", "_"))
        # The default as text, so that --help shows it as one would type it; argparse parses it.
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()
        options.add_argument(name, default=text, **settings)

    options.add_argument(
        "--dataset",
        metavar=f"FILE.csv|{'|'.join(LAB_DATASETS)}",
        default="four",
        help="training data: a CSV file, or one of the lab's datasets",
    )
    options.add_argument(
        "--models", metavar="FOLDER", type=Path, default=models, help="folder of versions"
    )
    options.add_argument(
        "--promote",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="make the new version live",
    )
    options.add_argument(
        "--if-missing", action="store_true", help="train only if there is no version"
    )
    option(
        "--hidden-sizes",
        metavar="N,N",
        type=_parse_sizes,
        help="nodes of each hidden layer, such as 8,4, or none for a two-layer network",
    )
    option(
        "--alpha",
        metavar="X",
        type=_parse_number,
        help="step size: an update adds alpha times its weight_delta to each weight",
    )
    option("--iterations", metavar="N", type=_parse_whole, help="passes over the data in one run")
    option(
        "--batch-size",
        metavar="N",
        type=_parse_rows,
        help="observations per update: a number, or all for full gradient descent",
    )
    option("--seed", metavar="N", type=_parse_whole, help="seed of the random initial weights")
    option(
        "--restarts",
        metavar="N",
        type=_parse_whole,
        help="number of further seeds to try while the target error is missed",
    )
    option(
        "--target-error",
        metavar="X",
        type=_parse_target,
        help="highest squared error, summed over the rows, for which a version is promoted; "
        "none for any",
    )
    option(
        "--patience",
        metavar="N",
        type=_parse_passes,
        help="early stopping: end a run when it meets the target error, or after this many passes "
        "without a lower error; none to run every pass",
    )
    option(
        "--weight-decay",
        metavar="X",
        type=_parse_number,
        help="L2 regularisation: the fraction of each weight subtracted from its weight_delta",
    )
    option(
        "--l1-penalty",
        metavar="X",
        type=_parse_number,
        help="L1 regularisation: subtracted from the weight_delta, with the sign of the weight",
    )
    option(
        "--activation",
        choices=get_args(Activation),
        help="activation of the hidden layers; linear for none",
    )
    option(
        "--repeats",
        choices=get_args(Repeats),
        help="rows with equal light states: grouped into one row with their mean outcome, or kept "
        "as they are",
    )
    return options


def _parse_sizes(text: str) -> tuple[int, ...]:
    return () if text in ("", "none") else tuple(_parse_whole(size) for size in text.split(","))


def _parse_whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'expected a whole number, got "{text}"') from None


def _parse_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'expected a number, got "{text}"') from None


def _parse_rows(text: str) -> int | None:
    return None if text == "all" else _parse_whole(text)


def _parse_passes(text: str) -> int | None:
    return None if text == "none" else _parse_whole(text)


def _parse_target(text: str) -> float | None:
    return None if text == "none" else _parse_number(text)
