"""The hosts that share the database."""

from typing import Annotated

from flask import Blueprint
from pydantic import Field

from streetlight.service.registry import hosts
from streetlight.service.registry.hosts import HostList
from streetlight.service.validation.fields import Limit, Text
from streetlight.service.validation.request_schema import Schema
from streetlight.service.web.application import services
from streetlight.service.web.openapi.operation import operation

blueprint = Blueprint("hosts", __name__)


class HostsQuery(Schema):
    """The page of hosts to list."""

    after: Annotated[Text, Field(max_length=300)] = ""
    limit: Limit = 100


@blueprint.get("/hosts")
@operation()
def list_hosts(query: HostsQuery) -> HostList:
    """List the hosts that share the database, and the promotion that each has applied.

    With PostgreSQL, each host on which `streetlight serve` runs is listed, and for a day after its
    last report. With SQLite, the only host is this one.
    """
    repository, data_dir = services().repository, services().settings.data_dir
    return hosts.host_list(services().engine, repository, data_dir, query.after, query.limit)
