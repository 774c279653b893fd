"""Names of models, keys and hosts, paths and origins, as settings give them."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError


def _matching(pattern: str, expected: str) -> AfterValidator:
    """Return a validator whose message says `expected`, and not the pattern."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if compiled.fullmatch(text) and text.isprintable():
            return text
        raise PydanticCustomError("text", expected)

    return AfterValidator(check)


def _check_folder(folder: Path) -> Path:
    if "?" in str(folder):
        raise PydanticCustomError("folder", "a path without ?, which would end that of a database")
    return folder


Folder = Annotated[Path, AfterValidator(_check_folder)]
# A part of the routes of the V1 and V2 protocols.
ModelName = Annotated[
    str,
    _matching(
        r"(?!\.{1,2}\Z)[^/:?#%\\\s]{1,100}",
        "up to 100 characters, none of them white space or /:?#%\\",
    ),
]
# Parts of a path (RFC 3986), without percent-encoding: a client may send either form.
RoutePath = Annotated[
    str,
    _matching(
        r"/|(/(?!\.{1,2}(/|\Z))[A-Za-z0-9._~!$&'()*+,;=:@-]+)+/?",
        "a path such as /predictions: letters, digits and ._~!$&'()*+,;=:@- between slashes",
    ),
]
KeyName = Annotated[
    str, _matching(r"[A-Za-z0-9._-]{1,100}", "up to 100 letters of ASCII, digits and ._-")
]
HostName = Annotated[
    str,
    StringConstraints(to_lower=True),
    _matching(
        r"[a-z0-9-]+(\.[a-z0-9-]+)*", "a name such as example.org, without a scheme or a port"
    ),
]
# Browsers leave out the port that the scheme has anyway.
Origin = Annotated[
    str,
    StringConstraints(to_lower=True),
    _matching(
        r"\*|(?!http://.*:80\Z|https://.*:443\Z)"
        r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?",
        "* or an origin such as https://app.example.org, as browsers send it: no path, no / at "
        "the end, and no port that the scheme has anyway",
    ),
]
