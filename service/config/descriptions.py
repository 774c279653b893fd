"""The variable, the description and the default of a setting, for the help and the docs."""

import json
from typing import NamedTuple

from streetlight.service.config.settings import PREFIX, Settings

# The last sentence of a description whose setting has no constant default.
_COMPUTED = " Default: "


class Description(NamedTuple):
    """A setting in words; `default` is empty if the setting has none."""

    variable: str
    text: str
    default: str


def describe_setting(field: str) -> Description:
    """Return the description of a field of `Settings`."""
    info = Settings.model_fields[field]
    text, _, computed = (info.description or "").partition(_COMPUTED)
    default = computed.rstrip(".")
    if not default and info.default not in (None, ()):
        default = json.dumps(info.default, default=str).strip('"')
    return Description(PREFIX + field.upper(), text, default)
