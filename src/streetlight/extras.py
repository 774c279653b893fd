"""The message of a command whose dependencies, an extra of the package, are not installed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def server_extra(command: str) -> Iterator[None]:
    """Exit with status 2 and one line if the block imports a module that isn't installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        print(
            f"{command}: {error}; install it with the extra `server`: "
            "pip install 'streetlight[server]'",
            file=sys.stderr,
        )
        sys.exit(2)
