"""What a view finds on the application that serves it."""

from typing import cast

from flask import current_app

from streetlight.service.wiring import Services


def services() -> Services:
    """Return what the application was created with."""
    return cast(Services, current_app.extensions["streetlight"])
