"""The one place where the parts are put together, for the web, the command line and the trainer."""

from dataclasses import dataclass

from sqlalchemy import Engine

from model.dataset import LAB, outcome_name
from model.repository import ModelRepository
from service.database import create_schema, open_engine
from service.recording import Observed, record
from service.settings import Settings


@dataclass(frozen=True)
class Services:
    """What the entry points work with."""

    settings: Settings
    repository: ModelRepository
    engine: Engine


def bootstrap(settings: Settings) -> Services:
    """Wire the services; nothing is read, written or started yet."""
    return Services(settings, ModelRepository(settings.models_dir), open_engine(settings.database))


def prepare(services: Services) -> None:
    """See to it that there is a ledger, with the lab's observations unless it is to be empty."""
    settings = services.settings
    if create_schema(services.engine, settings.data_dir) and not settings.start_empty:
        rows = [
            Observed(tuple(lights), outcome_name(outcome))
            for lights, outcome in zip(LAB.lights.tolist(), LAB.walk_vs_stop, strict=True)
        ]
        record(services.engine, rows, live=None, source="lab")
