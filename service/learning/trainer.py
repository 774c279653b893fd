"""The trainer: a process that runs one retraining job after another.

`job_runner` runs a job; `supervisor` restarts the trainer when it exits.
"""

import logging
import os
import socket
import time
import uuid
from contextlib import suppress
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from streetlight.model.registry.file_lock import LockedError
from streetlight.model.registry.version import VersionDamagedError
from streetlight.service.learning import presence
from streetlight.service.learning.automatic import submit_if_due
from streetlight.service.learning.job_runner import run_job
from streetlight.service.learning.lease import acquire_lease
from streetlight.service.learning.supervisor import install_stop_signals
from streetlight.service.store.engine import describe
from streetlight.service.store.schema import SchemaError
from streetlight.service.wiring import Services, initialize

# Seconds between two looks at an empty queue.
POLL_INTERVAL = 0.25
# A lower priority than that of the workers, so that a training doesn't delay predictions:
# docs/decisions/0023.
NICENESS = 10

log = logging.getLogger(__name__)


def work(services: Services, parent: int, liveness_file: Path | None = None) -> None:
    """Run jobs until SIGTERM, SIGINT, or until the process `parent` is no longer the parent.

    A job that is running then is released to the queue. While the trainer polls the queue, and
    after each pass of a training, it sets the modification time of `liveness_file`, and of its file
    of `presence`, to now.
    """
    stopping = install_stop_signals()
    os.nice(NICENESS)
    owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    log.info("trainer %s waits for jobs", owner)
    touched = 0.0
    files = [presence.create(services.settings.data_dir, owner)]
    if liveness_file:
        liveness_file.touch()  # raises an error if the path can't be written
        files.append(liveness_file)

    def should_stop() -> bool:
        nonlocal touched
        if time.monotonic() - touched >= presence.INTERVAL:
            touched = time.monotonic()
            for file in files:
                # A health check notices the age of the file; the job must not fail.
                with suppress(OSError):
                    file.touch()
        return stopping.is_set() or os.getppid() != parent

    failing = False
    while not should_stop():
        try:
            if not services.ledger_ready.is_set():
                initialize(services)
            services.repository.follow()
            lease = acquire_lease(services.engine, owner, services.settings.job_lease)
            if lease:
                run_job(services, lease, should_stop)
                continue
            submit_if_due(services)
            failing = False
        except SchemaError:
            files[0].unlink(missing_ok=True)
            raise  # the process that starts this one tries again
        except (DBAPIError, LockedError, OSError, VersionDamagedError) as error:
            if not failing:
                log.warning("%s; trying again every %s s", describe(error), POLL_INTERVAL)
            failing = True
        stopping.wait(POLL_INTERVAL)
    files[0].unlink(missing_ok=True)
