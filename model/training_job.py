"""The command `python -m streetlight.model`, which trains, publishes and promotes one version.

`streetlight train` runs the same code with the folder of versions from the service's settings.
Its options are in `options`. Retraining jobs of the service are not here but in `service.learning`.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

from streetlight.model import csv_io
from streetlight.model.dataset import FORMER_NAMES, LAB_DATASETS, DatasetError
from streetlight.model.options import parser
from streetlight.model.recipe import Recipe
from streetlight.model.registry.file_lock import LockedError
from streetlight.model.registry.manifest import Provenance
from streetlight.model.registry.repository import ModelRepository, VersionNotFoundError
from streetlight.model.registry.version import VersionDamagedError
from streetlight.model.report import ProgressReport, summary
from streetlight.model.training.fit import TrainingDivergedError, fit

# Seconds that a process waits for another one that trains the first version.
FIRST_TRAINING_TIMEOUT = 600


def main(
    argv: Sequence[str],
    prog: str = "python -m streetlight.model",
    models: Path = Path("models"),
    open_repository: Callable[[Path], ModelRepository] = ModelRepository,
) -> int:
    """Run the command and return its exit status.

    Args:
        argv: the options.
        prog: the name of the command in its usage line and error messages.
        models: the default of `--models`.
        open_repository: returns the repository of a folder.

    Returns:
        0 on success; 1 if training diverged, so no version was published, if it missed its target
        error, so the version was not promoted, if `--if-missing` found versions of which none is
        live, or if another process held a lock for too long; 2 if an option, the data or the folder
        is invalid.
    """
    options = parser(prog, models).parse_args(argv)
    try:
        recipe = Recipe(**{field.name: getattr(options, field.name) for field in fields(Recipe)})
        repository = open_repository(options.models)
        if not options.if_missing:
            return _train(prog, options, recipe, repository)
        # If several processes start at once, one trains and the others wait for its version.
        with repository.lock("first", FIRST_TRAINING_TIMEOUT):
            status = _status_without_training(prog, repository)
            return _train(prog, options, recipe, repository) if status is None else status
    except (LockedError, TrainingDivergedError) as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{prog}: {error.filename or 'I/O'}: {error.strerror or error}", file=sys.stderr)
        return 2
    except (DatasetError, VersionDamagedError, ValueError) as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 2


def _status_without_training(prog: str, repository: ModelRepository) -> int | None:
    """Print why nothing is trained, and return the exit status; `None` if there is no version.

    A live version that can't be read is not replaced by a first one. Where versions exist and none
    is live, none was promoted, or the model was unloaded; another training changes neither.
    """
    try:
        live = repository.live()
    except (VersionDamagedError, VersionNotFoundError) as error:
        print(
            f"{prog}: the live version can't be read ({error}); promote another one",
            file=sys.stderr,
        )
        return 0
    if live:
        print(f"version {live.number} is live: nothing to train")
        return 0
    if versions := repository.versions():
        print(
            f"{prog}: no version is live: promote one, such as the newest with "
            f"`streetlight promote {versions[-1]}`",
            file=sys.stderr,
        )
        return 1
    return None


def _train(
    prog: str, options: argparse.Namespace, recipe: Recipe, repository: ModelRepository
) -> int:
    name = FORMER_NAMES.get(options.dataset, options.dataset)
    rows = LAB_DATASETS.get(name) or csv_io.read(Path(name))
    dataset = rows.with_repeats(recipe.repeats)
    report = ProgressReport(recipe, sys.stderr)
    try:
        training = fit(dataset, recipe, report)
    finally:
        report.close()
    print(summary(training, dataset))
    parent = repository.live_number()
    source = Path(name).name
    if name not in LAB_DATASETS and source in {*LAB_DATASETS, *FORMER_NAMES}:
        source = f"./{source}"  # a file, whose rows aren't those of the lab
    provenance = Provenance(source, parent)
    version = repository.publish(training, dataset, provenance)
    print(f"\npublished version {version.number}: {version.path}")
    if missed := training.missed_target:
        print(
            f"{prog}: version {version.number} is not promoted: {missed}, with all {training.runs} "
            "seeds; try more iterations, other hidden sizes or another alpha",
            file=sys.stderr,
        )
        return 1
    if options.promote:
        repository.promote(version.number, "trained by hand" if parent else "first training")
        print(f"version {version.number} is live")
    return 0
