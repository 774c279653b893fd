"""Read a file `.env`: lines `NAME=VALUE`, as python-dotenv reads them.

Unlike python-dotenv, it refuses a file that can't be read, and a line that it would skip.
"""

import io
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from streetlight.service.config.errors import SettingsError


def read_env_file(path: Path) -> dict[str, str | None]:
    """Return the variables in the file; none if it doesn't exist, `None` for one without `=`.

    Raises:
        SettingsError: the file can't be read, or has a line that isn't understood.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors write a byte order mark
    except FileNotFoundError:
        return {}
    except IsADirectoryError:
        if (path / "pyvenv.cfg").exists():  # a virtual environment often has this name
            return {}
        # Docker creates a directory if the file to mount doesn't exist.
        raise SettingsError(f"{path}: expected a file with settings, got a directory") from None
    except OSError as error:
        raise SettingsError(f"{path}: can't read the file: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: expected UTF-8 text; save the file as UTF-8") from None
    # Without the text of the line, which may be a secret.
    invalid = [binding.original for binding in parse_stream(io.StringIO(text)) if binding.error]
    if invalid or "\0" in text:
        line = invalid[0].line if invalid else text[: text.index("\0")].count("\n") + 1
        raise SettingsError(
            f"{path}, line {line}: expected NAME=VALUE, with closed quotes and no NUL characters"
        )
    return dotenv_values(stream=io.StringIO(text))
