"""Change which version is live, and name the hosts that still answer by another one.

`key` is the name of the API key of the request, which the promotion log has.
"""

from dataclasses import dataclass
from typing import Annotated

from streetlight.model.registry.promotion_log import Promotion
from streetlight.model.registry.repository import ModelRepository
from streetlight.service.validation.fields import OMIT_IF_EMPTY


@dataclass(frozen=True)
class Switched:
    """The number of the live version, and the stored promotion; null if nothing changed.

    `lagging` names the hosts that have not applied it within 2 seconds; omitted if all have.
    """

    live: int
    promotion: Promotion | None
    lagging: Annotated[list[str], OMIT_IF_EMPTY]


def promote(
    repository: ModelRepository, number: int, reason: str, key: str | None = None
) -> Switched:
    """Make version `number` live; raises what `ModelRepository.promote` raises."""
    promotion = repository.promote(number, reason, key)
    return Switched(number, promotion, repository.lagging_hosts())


def rollback(repository: ModelRepository, reason: str, key: str | None = None) -> Switched:
    """Make the previous version live; raises what `ModelRepository.rollback` raises."""
    promotion = repository.rollback(reason, key)
    return Switched(promotion.version, promotion, repository.lagging_hosts())


def load(
    repository: ModelRepository, number: int | None, reason: str, key: str | None
) -> list[str]:
    """Make a version live, by default the live or last live one, and return the lagging hosts."""
    if number is None:
        repository.reload(reason, key)
    else:
        repository.promote(number, reason, key)
    return repository.lagging_hosts()


def unload(repository: ModelRepository, reason: str, key: str | None) -> list[str]:
    """Make no version live, and return the lagging hosts."""
    repository.unload(reason, key)
    return repository.lagging_hosts()
