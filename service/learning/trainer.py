"""The trainer: a process that runs one retraining job after another.

`job_runner` runs a job; `supervisor` restarts the trainer when it exits.
"""

import logging
import os
import socket
import uuid

from sqlalchemy.exc import DBAPIError

from streetlight.service.learning.automatic import submit_if_due
from streetlight.service.learning.job_runner import run_job
from streetlight.service.learning.lease import acquire_lease
from streetlight.service.learning.supervisor import install_stop_signals
from streetlight.service.wiring import Services

# Seconds between two looks at an empty queue.
POLL_INTERVAL = 0.25
# A lower priority than that of the workers, so that a training doesn't delay predictions:
# docs/decisions/0023.
NICENESS = 10

log = logging.getLogger(__name__)


def work(services: Services, parent: int) -> None:
    """Run jobs until SIGTERM, SIGINT, or until the process `parent` is no longer the parent.

    A job that is running then is released to the queue.
    """
    stopping = install_stop_signals()
    os.nice(NICENESS)
    owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    log.info("trainer %s waits for jobs", owner)

    def should_stop() -> bool:
        return stopping.is_set() or os.getppid() != parent

    while not should_stop():
        try:
            lease = acquire_lease(services.engine, owner, services.settings.job_lease)
            if lease:
                run_job(services, lease, should_stop)
                continue
            submit_if_due(services)
        except DBAPIError:
            log.exception("the database can't be used; trying again in %s s", POLL_INTERVAL)
        stopping.wait(POLL_INTERVAL)
