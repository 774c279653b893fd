"""The webhook: list what was reported to the receiver, repeat a delivery, and test the receiver."""

from dataclasses import dataclass

from flask import Blueprint, Response

from streetlight.service.validation.fields import After, Limit
from streetlight.service.validation.request_schema import Schema
from streetlight.service.web.application import services
from streetlight.service.web.middleware.auth import private
from streetlight.service.web.openapi.operation import ResponseSpec, operation
from streetlight.service.web.response import json_response
from streetlight.service.webhook import outbox
from streetlight.service.webhook.outbox import (
    DeliveredError,
    Delivery,
    DeliveryNotFoundError,
    State,
    WebhookOffError,
)

blueprint = Blueprint("webhook", __name__)

LINKS = {"webhook_retry": {"number": "$response.body#/id"}}


class DeliveryQuery(Schema):
    """The page of deliveries, and the state that they have."""

    after: After = 0
    limit: Limit = 100
    state: State | None = None


@dataclass(frozen=True)
class DeliveryPage:
    """One page of deliveries; request the next one with `after` set to `next`, null on the last."""

    deliveries: list[Delivery]
    next: int | None


@blueprint.post("/webhook/test")
@operation(responses={202: ResponseSpec(Delivery, links=LINKS)}, raises=[WebhookOffError])
def test() -> Response:
    """Report an event of the type `webhook.test`, which has no data, to the receiver."""
    return json_response(outbox.store_test(services()), 202)


@blueprint.get("/webhook/deliveries")
@private
@operation()
def list_deliveries(query: DeliveryQuery) -> DeliveryPage:
    """List the deliveries of the last week, oldest first."""
    return DeliveryPage(*outbox.page(services().engine, query.state, query.after, query.limit))


@blueprint.post("/webhook/deliveries/<int:number>/retry")
@operation(raises=[DeliveryNotFoundError, DeliveredError])
def retry(number: int) -> Delivery:
    """Try a delivery at once; one that has failed is tried once more."""
    return outbox.retry(services().engine, number)
