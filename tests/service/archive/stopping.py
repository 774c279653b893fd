"""Functions for processes of their own, which end a command at many steps."""

import os
import sys

from tests.client import invoke
from tests.model.registry.publishing import ExitAtStep


def repeat_at_many_steps(
    arguments: tuple[str, ...], settings: dict[str, object], growth: float, check: bool
) -> None:
    """Run a command in one process after another, each of which exits some steps later.

    All use the same data, until one ends by itself. The number of steps begins with 10, and is
    multiplied by `growth`. With `check`, the data must be valid after each process.
    """
    step = 10
    while True:
        if not (child := os.fork()):
            sys.setprofile(ExitAtStep(step))
            invoke(*arguments, **settings)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if check:
            found = invoke("check", **settings)
            assert found.returncode == 0, found.stdout
        if os.waitstatus_to_exitcode(status) == 0:
            return
        step = int(step * growth)
