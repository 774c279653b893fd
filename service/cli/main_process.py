"""gunicorn's main process, as `streetlight serve` runs it: it also keeps other processes running.

`server.gunicorn_conf` configures gunicorn, `learning.supervisor` starts a process again.
"""

import os
import select
from functools import partial
from typing import Any

from gunicorn.app import base
from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.arbiter import Arbiter

from streetlight.service.learning.supervisor import Supervisor

LISTEN_TIMEOUT = 5.0


class MainProcess(Arbiter):  # type: ignore[misc] # gunicorn has no types
    """Starts, replaces and stops the workers, and the processes of the supervisors.

    Attributes:
        listening: a pipe, which a new worker closes when it listens.
    """

    listening: int

    def __init__(
        self, app: WSGIApplication, trainer: Supervisor | None, others: list[Supervisor]
    ) -> None:
        self._trainer = trainer
        self._supervisors = [trainer, *others] if trainer else others
        super().__init__(app)

    def manage_workers(self) -> None:
        """Start the processes that are missing; gunicorn calls this at least once a second."""
        super().manage_workers()
        for supervisor in self._supervisors:
            supervisor.check()

    def spawn_worker(self) -> Any:  # noqa: ANN401 - gunicorn's own
        """Start a worker, and wait until it listens: only then may another one be stopped.

        gunicorn alone would end the service if a worker can't be started.
        """
        reader, self.listening = os.pipe()
        pid = None
        try:
            pid = super().spawn_worker()  # returns in this process only
        except OSError as error:
            self.log.warning("can't start a worker: %s; trying again in a second", error)
        os.close(self.listening)
        select.select([reader], [], [], LISTEN_TIMEOUT)
        os.close(reader)
        return pid

    def reap_workers(self) -> None:
        """Take notice of processes that have ended; of its own first, to learn their status."""
        for supervisor in self._supervisors:
            supervisor.reap()
        super().reap_workers()

    def stop(self, graceful: bool = True) -> None:
        """End all processes; the others last, because until then workers answer."""
        if self._trainer:
            self._trainer.terminate()
        super().stop(graceful)
        for supervisor in self._supervisors:
            supervisor.stop()


class Gunicorn(WSGIApplication):  # type: ignore[misc]
    """gunicorn with this main process; `sys.argv` has the options."""

    def __init__(self, trainer: Supervisor | None, others: list[Supervisor]) -> None:
        self._main_process = partial(MainProcess, trainer=trainer, others=others)
        super().__init__()

    def chdir(self) -> None:
        """Change the directory, and don't add it to the module search path as gunicorn does.

        A user's `flask.py` would otherwise be imported.
        """
        os.chdir(self.cfg.chdir)

    def run(self) -> None:
        """Run the server until a signal ends it."""
        # gunicorn has no setting for the class of its main process.
        base.Arbiter = self._main_process
        super().run()
