"""`check`: whether the versions in a folder, the promotion log and the live link are valid.

It only reads, and may run while other processes publish and promote. `service.learning.integrity`
checks the database.
"""

from collections.abc import Callable

from streetlight.model.id_ranges import subtract
from streetlight.model.registry.manifest import examine
from streetlight.model.registry.repository import ModelRepository, VersionNotFoundError
from streetlight.model.registry.version import Version, VersionDamagedError
from streetlight.model.training.fit import squared_error

Report = Callable[[str], None]


def check(repository: ModelRepository, report: Report) -> dict[str, int]:
    """Call `report` with a sentence for each violation, and return how much was checked."""
    numbers = repository.versions()
    for number in numbers:
        try:
            _check_version(repository.load(number), report)
        except VersionNotFoundError:
            continue  # the file was removed after `versions` listed it
        except VersionDamagedError as error:
            report(str(error))
        except (TypeError, ValueError, IndexError) as error:  # arrays of other shapes
            report(f"{number}.npz: its data can't be used: {error}")
    try:
        repository.live()
    except (VersionNotFoundError, VersionDamagedError) as error:
        report(f"the live version can't be read ({error})")
    return {"versions": len(numbers), "promotions": _check_log(repository, report)}


def _check_version(version: Version, report: Report) -> None:
    manifest, network, dataset = version.manifest, version.network, version.dataset()
    for name, stated, found in (
        ("rows", manifest.rows, len(dataset)),
        ("lights", manifest.lights, dataset.light_count),
        ("conflicts", manifest.conflicts, dataset.conflicts),
        ("error", manifest.error, squared_error(network, dataset)),
        ("accuracy", manifest.accuracy, dataset.accuracy(network.scores(dataset.lights))),
        ("number of errors", True, 0 < len(version.errors) <= manifest.recipe.iterations),
    ):
        if stated != found:
            report(f"{version.path.name}: {name}: the manifest has {stated}, its data {found}")
    exam = version.exam()
    if exam and examine(network, exam) != manifest.exam:
        report(f"{version.path.name}: exam: its rows or its result differ from the manifest")
    if exam and subtract(exam.ids, manifest.learnt or []) != exam.ids:
        report(f"{version.path.name}: exam: the version has learnt from some of its observations")


def _check_log(repository: ModelRepository, report: Report) -> int:
    # What the next line may name as the version that it replaces; none if it isn't known.
    replaced: tuple[int | None, ...] = (None,)
    lines = repository.promotion_lines()
    for number, promotion in enumerate(lines, 1):
        if promotion is None:
            report(f"promotions.jsonl: line {number}: not a promotion")
            replaced = ()
            continue
        if replaced and promotion.instead_of not in replaced:
            report(
                f"promotions.jsonl: line {number}: expected a change of version {replaced[-1]}, "
                f"got one of version {promotion.instead_of}"
            )
        # No version was live if the model was unloaded, or if the link named no version.
        replaced = (None, promotion.version)
    return len(lines)
