"""The training job: `python -m streetlight.model` trains, publishes and promotes one version.

`streetlight train` is the same job with the service's folder of versions.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

from streetlight.model import csv_io
from streetlight.model.dataset import LAB_DATASETS, DatasetError
from streetlight.model.network import Activation
from streetlight.model.recipe import Recipe
from streetlight.model.registry.manifest import Provenance
from streetlight.model.registry.repository import ModelRepository
from streetlight.model.registry.version import VersionDamagedError
from streetlight.model.report import ProgressReport, summary
from streetlight.model.training.fit import TrainingDivergedError, fit


def main(
    argv: Sequence[str], prog: str = "python -m streetlight.model", models: Path = Path("models")
) -> int:
    """Run the job.

    Args:
        argv: the options.
        prog: how the command was called, for its usage line.
        models: the folder of versions where `--models` names none.

    Returns:
        0, or 1 where training didn't meet its target (no version is made then), or 2 where the
        options, the data or the folder are at fault.
    """
    options = _parser(prog, models).parse_args(argv)
    try:
        recipe = Recipe(**{field.name: getattr(options, field.name) for field in fields(Recipe)})
        repository = ModelRepository(options.models)
        if not options.if_missing:
            return _train(prog, options, recipe, repository)
        # Several may start at once: one trains, the others find its version.
        with repository.lock("first"):
            if (live := repository.live_number()) is None:
                return _train(prog, options, recipe, repository)
            print(f"version {live} is live: nothing to train")
            return 0
    except TrainingDivergedError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{prog}: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except (DatasetError, VersionDamagedError, ValueError) as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 2


def _train(
    prog: str, options: argparse.Namespace, recipe: Recipe, repository: ModelRepository
) -> int:
    dataset = LAB_DATASETS.get(options.dataset) or csv_io.read(Path(options.dataset))
    if dataset.conflicts:
        dataset = dataset.grouped()
    report = ProgressReport(recipe)
    try:
        training = fit(dataset, recipe, report)
    finally:
        report.close()
    print(summary(training, dataset))
    if not training.converged:
        print(
            f"{prog}: no version: the error is {training.error:.3g}, above the target of "
            f"{recipe.target_error:g}, with all {training.runs} seeds; more iterations, other "
            "hidden sizes or another alpha may get there",
            file=sys.stderr,
        )
        return 1
    parent = repository.live_number()
    origin = Provenance(Path(options.dataset).name, parent)
    version = repository.publish(training, dataset, origin)
    print(f"\npublished version {version.number}: {version.path}")
    if options.promote:
        repository.promote(version.number, "trained by hand" if parent else "first training")
        print(f"version {version.number} is live")
    return 0


def _parser(prog: str, models: Path) -> argparse.ArgumentParser:
    default = Recipe()
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Train the network, keep it as the next version and let it go live.",
        epilog="Exit status: 1 and no version where the target is not met, 2 where an option, "
        "the data or the folder is at fault.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )

    def option(name: str, **settings: Any) -> None:  # noqa: ANN401 - argparse's own signature
        value = getattr(default, name.removeprefix("--").replace("-", "_"))
        # As a person would type it: argparse reads a default that is text like an option.
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()
        parser.add_argument(name, default=text, **settings)

    parser.add_argument(
        "--dataset", metavar="FILE.csv|lab|lab-direct", default="lab", help="what to learn from"
    )
    parser.add_argument("--models", type=Path, default=models, help="folder of the versions")
    parser.add_argument(
        "--promote",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="let the new version go live",
    )
    parser.add_argument(
        "--if-missing", action="store_true", help="do nothing where a version is live"
    )
    option(
        "--hidden-sizes",
        metavar="N,N",
        type=_sizes,
        help="nodes of each hidden layer, such as 8,4, or none",
    )
    option(
        "--alpha", metavar="X", type=_number, help="how far a weight moves along its weight_delta"
    )
    option("--iterations", metavar="N", type=_whole, help="passes over the data")
    option("--batch-size", metavar="N", type=_rows, help="rows to an update: 1, n, or all")
    option("--seed", metavar="N", type=_whole, help="of the random start")
    option(
        "--restarts", metavar="N", type=_whole, help="further seeds to try until the target is met"
    )
    option(
        "--target-error", metavar="X", type=_target, help="highest summed squared error, or none"
    )
    option(
        "--patience",
        metavar="N",
        type=_passes,
        help="stop early: at the target, or after so many passes without gain",
    )
    option("--weight-decay", metavar="X", type=_number, help="L2 regularisation")
    option("--activation", choices=get_args(Activation), help="of the hidden layers")
    return parser


def _sizes(text: str) -> tuple[int, ...]:
    return () if text in ("", "none") else tuple(_whole(size) for size in text.split(","))


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'expected a whole number, got "{text}"') from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'expected a number, got "{text}"') from None


def _rows(text: str) -> int | None:
    return None if text == "all" else _whole(text)


def _passes(text: str) -> int | None:
    return None if text == "none" else _whole(text)


def _target(text: str) -> float | None:
    return None if text == "none" else _number(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
