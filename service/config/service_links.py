"""The variables that Kubernetes and Docker set for a service named like the prefix of the settings.

A service `streetlight` sets `STREETLIGHT_PORT=tcp://10.0.0.1:8000`, and a service `streetlight-api`
`STREETLIGHT_API_SERVICE_HOST`, in the containers of other services too. They are no settings.
"""

import re
from collections.abc import Mapping

from streetlight.service.config.settings import PREFIX

# The message of a log line, for the names.
IGNORED_LINKS = (
    "ignored %s: Kubernetes or Docker has set these for a service; in Kubernetes, "
    "enableServiceLinks: false leaves them out"
)

_URL = r"(tcp|udp|sctp)://\S+:\d+"
# The ends of the names, and their values. A container that is linked with `docker run --link` also
# gets the last two.
_LINKS = [
    (re.compile(rf"{PREFIX}(\w+_)?{name}"), re.compile(value))
    for name, value in {
        "SERVICE_HOST": r"[\w.:-]+",
        r"SERVICE_PORT(_\w+)?": r"\d+",
        r"PORT(_\d+_(TCP|UDP|SCTP)(_(START|END))?)?": _URL,
        r"PORT_\d+_(TCP|UDP|SCTP)_ADDR": r"[\w.:-]+",
        r"PORT_\d+_(TCP|UDP|SCTP)_PORT(_(START|END))?": r"\d+",
        r"PORT_\d+_(TCP|UDP|SCTP)_PROTO": "tcp|udp|sctp",
        "NAME": r"/\S+/\S+",
        r"ENV_\w+": r"(?s).*",
    }.items()
]


def find_service_links(variables: Mapping[str, str]) -> list[str]:
    """Return the names of the variables that were set for a service, not as settings."""
    return [
        name
        for name, value in variables.items()
        if any(link.fullmatch(name) and form.fullmatch(value) for link, form in _LINKS)
    ]
