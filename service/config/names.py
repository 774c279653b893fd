"""The model's name, the paths of routes, origins, and the data directory, as settings give them."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

# Parts of a path (RFC 3986), without percent-encoding: a client may send either form.
_PATH = re.compile(r"/|(/(?!\.{1,2}(/|\Z))[A-Za-z0-9._~!$&'()*+,;=:@-]+)+/?")
_NAME = re.compile(r"(?!\.{1,2}\Z)[^/:?#%\\\s]{1,100}")
# Browsers leave out the port that the scheme has anyway.
_ORIGIN = re.compile(
    r"\*|(?!http://.*:80\Z|https://.*:443\Z)"
    r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?"
)


def _check_path(path: str) -> str:
    if _PATH.fullmatch(path):
        return path
    raise PydanticCustomError(
        "path", "a path such as /predictions: letters, digits and ._~!$&'()*+,;=:@- between slashes"
    )


def _check_name(name: str) -> str:
    if _NAME.fullmatch(name) and name.isprintable():
        return name
    raise PydanticCustomError("name", "up to 100 characters, none of them white space or /:?#%\\")


def _check_origin(origin: str) -> str:
    if _ORIGIN.fullmatch(origin.lower()):
        return origin.lower()
    raise PydanticCustomError(
        "origin",
        "* or an origin such as https://app.example.org, as browsers send it: no path, no / at the "
        "end, and no port that the scheme has anyway",
    )


def _check_folder(folder: Path) -> Path:
    if "?" in str(folder):
        raise PydanticCustomError("folder", "a path without ?, which would end that of a database")
    return folder


Folder = Annotated[Path, AfterValidator(_check_folder)]
# A part of the routes of the V1 and V2 protocols.
ModelName = Annotated[str, AfterValidator(_check_name)]
Origin = Annotated[str, AfterValidator(_check_origin)]
RoutePath = Annotated[str, AfterValidator(_check_path)]
