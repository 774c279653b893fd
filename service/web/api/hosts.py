"""The hosts that share the database."""

from flask import Blueprint

from streetlight.service.registry import hosts
from streetlight.service.registry.hosts import HostList
from streetlight.service.web.application import services
from streetlight.service.web.openapi.operation import operation

blueprint = Blueprint("hosts", __name__)


@blueprint.get("/hosts")
@operation()
def list_hosts() -> HostList:
    """List the hosts that share the database, and the promotion that each has applied.

    With PostgreSQL, each host on which `streetlight serve` runs is listed, and for a day after its
    last report. With SQLite, the only host is this one.
    """
    return hosts.host_list(services().engine, services().repository, services().settings.data_dir)
