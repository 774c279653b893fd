"""Build the services that the web, the command line and the trainer share."""

import logging
import threading
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from streetlight.model.dataset import LAB, outcome_name
from streetlight.model.registry.file_lock import LockedError
from streetlight.model.registry.repository import ModelRepository
from streetlight.model.registry.version import VersionDamagedError
from streetlight.service.config.keys import ApiKeys
from streetlight.service.config.settings import Settings
from streetlight.service.inference.limits import Budget
from streetlight.service.inference.resolution import ServedModel
from streetlight.service.inference.version_cache import VersionCache
from streetlight.service.ledger.ingest import NewObservation, prepare, record_in_transaction
from streetlight.service.ledger.lost import check_none_lost
from streetlight.service.prediction_log.queries import PredictionLogOffError
from streetlight.service.prediction_log.recorder import Recorder
from streetlight.service.registry.first_version import add_first_version
from streetlight.service.registry.shared_repository import SharedRepository
from streetlight.service.store.engine import describe, open_engine
from streetlight.service.store.schema import LEDGER, PREDICTION_LOG, SchemaError, upgrade

# Seconds between two tries to initialize the database.
RETRY_INTERVAL = 1.0
# Why the database can't be initialized now.
UNUSABLE = (OSError, DBAPIError, LockedError, VersionDamagedError)

log = logging.getLogger(__name__)


class LedgerState(threading.Event):
    """Set when this process, or the one that it was forked from, can use the database's tables.

    Attributes:
        refusal: until then, why the tables can't be used; `None` if the database wasn't reached.
    """

    refusal: str | None = None

    def check(self) -> None:
        """Raise `SchemaError` if the tables can't be used."""
        if self.refusal:
            raise SchemaError(self.refusal)


@dataclass(frozen=True)
class Services:
    """The settings, the model repository, the database engine and the work of a process.

    `model` is the repository under the name that the settings give it. `budget` bounds what
    requests cost. `keys` are read by what serves requests. `prediction_log` is the engine of the
    prediction log's database, `None` if the setting is false.
    """

    settings: Settings
    repository: ModelRepository
    model: ServedModel
    engine: Engine
    budget: Budget
    keys: ApiKeys
    prediction_log: Engine | None = None
    ledger_ready: LedgerState = field(default_factory=LedgerState)

    @property
    def shared(self) -> bool:
        """Whether many hosts share the versions, which are in the database then."""
        return self.engine.dialect.name == "postgresql"

    def require_prediction_log(self) -> Engine:
        """Return the engine of the prediction log's database.

        Raises:
            PredictionLogOffError: the setting `prediction_log` is false.
        """
        if self.prediction_log is None:
            raise PredictionLogOffError(
                "the server keeps no prediction log; set STREETLIGHT_PREDICTION_LOG=true and "
                "restart it"
            )
        return self.prediction_log


def build_services(settings: Settings) -> Services:
    """Return the services for `settings`, without any file or database access."""
    engine, prediction_log, recorder = open_engine(settings.database), None, None
    repository = ModelRepository(settings.models_dir)
    if engine.dialect.name == "postgresql":
        repository = SharedRepository(settings.models_dir, engine)
    budget = Budget(settings.max_multiplications, settings.max_response_bytes)
    if settings.prediction_log:
        prediction_log = engine
        if engine.dialect.name == "sqlite":
            # A file of its own, so that neither waits for the write lock of the other.
            file = settings.data_dir / "predictions.db"
            prediction_log = open_engine(f"sqlite:///{file}", durable=False)
        recorder = Recorder(
            prediction_log,
            settings.prediction_log_sample,
            settings.prediction_log_rows,
            settings.prediction_log_days * 24 * 3600,
        )
    model = ServedModel(settings.model_name, repository, VersionCache(repository), recorder)
    keys = ApiKeys(settings)
    return Services(settings, repository, model, engine, budget, keys, prediction_log)


def initialize(services: Services) -> None:
    """Create or migrate the tables; if hosts share the database, see `add_first_version`.

    Raises one of `UNUSABLE` if that is impossible now; a `SchemaError` if the tables are those of a
    newer release, or incomplete, and also if versions are missing.
    """
    state = services.ledger_ready
    try:
        initialize_ledger(services)
        if isinstance(services.repository, SharedRepository):
            add_first_version(services.repository)
    except SchemaError as error:
        state.refusal = error.reason
        raise
    state.refusal = None
    state.set()


def initialize_ledger(services: Services) -> None:
    """Create or migrate the tables; the prediction log only if that is possible.

    Raises:
        SchemaError: the tables are those of a newer release, or incomplete.
        DBAPIError, LockedError: the database can't be used, or another process holds a lock.
    """
    upgrade_ledger(services)
    _upgrade_prediction_log_if_possible(services)


def upgrade_ledger(services: Services, *, new_ledger: bool = False) -> str | None:
    """Create or migrate the tables of the ledger, and return the revision before, as `upgrade`.

    New tables start with the lab's four observations, unless the setting `start_empty` is true.
    Beside versions that come from a ledger there are no new tables, unless `new_ledger` is true.
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

    return upgrade(
        engine,
        LEDGER,
        settings.data_dir,
        add_lab_observations,
        partial(check_none_lost, settings.models_dir, new_ledger=new_ledger),
    )


def _upgrade_prediction_log_if_possible(services: Services) -> None:
    """Create or migrate the prediction log, or log why that is impossible: no job needs it."""
    try:
        upgrade_prediction_log(services)
    except SchemaError:
        raise
    except (OSError, DBAPIError, LockedError) as error:
        message = "the prediction log can't be created, restart when it can: %s"
        log.warning(message, describe(error))


def upgrade_prediction_log(services: Services) -> str | None:
    """Create or migrate the prediction log, if it is on, and return the revision before."""
    if services.prediction_log is None:
        return None
    return upgrade(services.prediction_log, PREDICTION_LOG, services.settings.data_dir)


def initialize_if_possible(services: Services) -> None:
    """Initialize the database, or log why that is impossible now; predictions don't need it."""
    try:
        initialize(services)
    except UNUSABLE as error:
        log.warning("%s; predictions are answered without it", describe(error))


def initialize_later(services: Services) -> None:
    """Initialize the database in a thread, as soon as that is possible."""

    def retry() -> None:
        while not services.ledger_ready.wait(RETRY_INTERVAL):
            logged = services.ledger_ready.refusal
            try:
                initialize(services)
            except SchemaError as error:
                if error.reason != logged:
                    log.warning("%s; predictions are answered without it", error)
            except UNUSABLE:
                pass
        log.info("the database answers, and has its tables")

    threading.Thread(target=retry, daemon=True).start()
