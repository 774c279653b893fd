"""A site with one of its directories on a small file system of its own, which a test can fill."""

from contextlib import suppress
from pathlib import Path

from tests.server import STREETLIGHT, Server
from tests.service.conftest import Site


class SmallSite(Site):
    """A site whose data directory, or else `folder`, is a file system with the options `limit`."""

    start = Server.start  # a forked server would not run the command

    def __init__(
        self,
        data_dir: Path,
        database_url: str | None,
        *,
        folder: Path | None = None,
        limit: str = "size=4m",
        **settings: object,
    ) -> None:
        super().__init__(data_dir, database_url, **settings)
        self.folder = folder or data_dir
        self.folder.mkdir(exist_ok=True)
        self.command = (
            *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c"),
            'mount -t tmpfs -o "$1" none "$2" && exec "$0" serve',
            *(STREETLIGHT, limit, str(self.folder)),
        )

    @property
    def filler(self) -> Path:
        """A file in that file system, by its path outside the mount namespace."""
        return Path(f"/proc/{self.process.pid}/root{self.folder}/filler")

    def fill(self) -> None:
        """Fill the file system."""
        with self.filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(1024))
