"""The one place where the parts are put together, for the web, the command line and the trainer."""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from streetlight.model.dataset import LAB, outcome_name
from streetlight.model.registry.repository import ModelRepository
from streetlight.service.config import Settings
from streetlight.service.ledger.ingest import NewObservation, record_in
from streetlight.service.store.engine import open_engine
from streetlight.service.store.schema import create_schema


@dataclass(frozen=True)
class Services:
    """What the entry points work with."""

    settings: Settings
    repository: ModelRepository
    engine: Engine


def build_services(settings: Settings) -> Services:
    """Wire the services; nothing is read, written or started yet."""
    return Services(settings, ModelRepository(settings.models_dir), open_engine(settings.database))


def prepare(services: Services) -> None:
    """See to it that there is a ledger, with the lab's observations unless it is to be empty."""
    settings, engine = services.settings, services.engine
    rows = [
        NewObservation(tuple(lights), outcome_name(outcome))
        for lights, outcome in zip(LAB.lights.tolist(), LAB.walk_vs_stop, strict=True)
    ]

    def fill(connection: Connection) -> None:
        if not settings.start_empty:
            record_in(connection, engine, rows, live=None, source="lab")

    create_schema(engine, settings.data_dir, fill)
