"""Build the Flask application. Only the package `streetlight.service.web` imports Flask.

Each resource has a module. A view parses the request, calls one function of another package of
`streetlight.service`, and returns the response.
"""

from flask import request

from streetlight.service.web import query_string
from streetlight.service.web.api import (
    events,
    health,
    hosts,
    jobs,
    metrics,
    observations,
    predict,
    predictions,
    scratch,
    versions,
    webhook,
)
from streetlight.service.web.application import Application
from streetlight.service.web.middleware import (
    admission,
    auth,
    cors,
    errors,
    instrumentation,
    location,
    request_id,
    security_headers,
    slashes,
)
from streetlight.service.web.openapi import document
from streetlight.service.web.page import docs, home, tutorial
from streetlight.service.web.protocols import invocations, sagemaker, v1, v2, v2_repository
from streetlight.service.web.request import IdConverter, VersionConverter
from streetlight.service.wiring import Services


def create_app(services: Services) -> Application:
    """Return the WSGI application with its middleware and routes.

    Raises:
        SettingsError: the file of the API keys can't be used.
    """
    services.keys.load()
    app = Application("streetlight", static_folder=None)
    app.services = services
    app.url_map.converters |= {"int": IdConverter, "version": VersionConverter}
    app.config["MAX_CONTENT_LENGTH"] = services.settings.max_body_bytes
    instrumentation.init_app(app)
    request_id.init_app(app)
    security_headers.init_app(app)
    location.init_app(app)
    if services.settings.cors_origins:
        cors.init_app(app)
    errors.init_app(app)
    slashes.init_app(app)
    auth.init_app(app)
    query_string.init_app(app)
    admission.init_app(app)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(metrics.blueprint)
    app.register_blueprint(predict.blueprint)
    app.register_blueprint(predictions.blueprint)
    app.register_blueprint(scratch.blueprint)
    app.register_blueprint(observations.blueprint)
    app.register_blueprint(jobs.blueprint)
    app.register_blueprint(versions.blueprint)
    app.register_blueprint(hosts.blueprint)
    app.register_blueprint(webhook.blueprint)
    app.register_blueprint(events.blueprint)
    app.register_blueprint(v1.blueprint)
    app.register_blueprint(v2.blueprint)
    app.register_blueprint(v2_repository.blueprint)
    app.register_blueprint(sagemaker.blueprint)
    app.register_blueprint(invocations.blueprint)
    app.register_blueprint(document.blueprint)
    app.register_blueprint(docs.blueprint)
    app.register_blueprint(home.blueprint)
    app.register_blueprint(tutorial.blueprint)
    invocations.add_routes_of_settings(app, services.settings)
    # Not `metrics`, which bounds its own wait, so that a database that hangs can be watched.
    use_database = {
        module.blueprint.name
        for module in (observations, predictions, jobs, versions, hosts, webhook)
    }
    paths = {
        "/" + rule.rule.split("/")[1]
        for rule in app.url_map.iter_rules()
        if rule.endpoint.partition(".")[0] in use_database
    }
    if services.shared:
        paths.add("/v2/repository/models")
    else:
        paths -= {"/rollback", "/hosts"}
    app.database_paths = tuple(paths)

    @app.before_request
    def check_schema() -> None:
        if app.uses_database(request.path):
            services.ledger_ready.check()

    return app
