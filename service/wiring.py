"""Build the services that the web, the command line and the trainer share."""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from streetlight.model.dataset import LAB, outcome_name
from streetlight.model.registry.repository import ModelRepository
from streetlight.service.config import Settings
from streetlight.service.inference.limits import Budget
from streetlight.service.inference.resolution import ServedModel
from streetlight.service.inference.version_cache import VersionCache
from streetlight.service.ledger.ingest import NewObservation, prepare, record_in_transaction
from streetlight.service.store.engine import open_engine
from streetlight.service.store.schema import create_schema


@dataclass(frozen=True)
class Services:
    """The settings, the model repository, the database engine and the work of a process.

    `model` is the repository under the name that the settings give it. `budget` bounds what
    requests cost.
    """

    settings: Settings
    repository: ModelRepository
    model: ServedModel
    engine: Engine
    budget: Budget


def build_services(settings: Settings) -> Services:
    """Return the services for `settings`, without any file or database access."""
    repository = ModelRepository(settings.models_dir)
    model = ServedModel(settings.model_name, repository, VersionCache(repository))
    budget = Budget(settings.max_multiplications, settings.max_response_bytes)
    return Services(settings, repository, model, open_engine(settings.database), budget)


def initialize_ledger(services: Services) -> None:
    """Create the database tables if they are missing.

    New tables start with the lab's four observations, unless the setting `start_empty` is true.
    """
    settings, engine = services.settings, services.engine
    observations = [
        NewObservation(tuple(lights), outcome_name(outcome))
        for lights, outcome in zip(LAB.lights.tolist(), LAB.walk_vs_stop, strict=True)
    ]
    rows = prepare(observations, live=None)

    def add_lab_observations(connection: Connection) -> None:
        if not settings.start_empty:
            record_in_transaction(connection, engine, rows, "lab")

    create_schema(engine, settings.data_dir, add_lab_observations)
