"""The one place where the parts are put together, for the web, the command line and the trainer."""

from dataclasses import dataclass

from model.repository import ModelRepository
from service.settings import Settings


@dataclass(frozen=True)
class Services:
    """What the entry points work with."""

    settings: Settings
    repository: ModelRepository


def bootstrap(settings: Settings) -> Services:
    """Wire the services; nothing is read, written or started yet."""
    return Services(settings, ModelRepository(settings.models_dir))
