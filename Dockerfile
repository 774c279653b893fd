# The image of the service; the build tools stay in the first stage.

# Any Debian image with Python 3.11 or newer: `docker build --build-arg PYTHON_IMAGE=…`.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# The lock files are copied before the code, so that a change to the code reuses the layer with the
# dependencies. This stage's pip installs into the environment, which has no pip of its own. Only
# wheels are installed, because the image has no compiler.
COPY requirements.lock requirements-otel.lock requirements-postgresql.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/streetlight \
 && pip --python /opt/streetlight install --require-hashes --only-binary :all: \
        -r requirements.lock -r requirements-otel.lock -r requirements-postgresql.lock \
 && pip install --require-hashes --only-binary :all: -r requirements-build.lock

COPY pyproject.toml LICENSE ./
COPY docs/package.md docs/
COPY client client
COPY deploy/grafana deploy/grafana
COPY deploy/prometheus deploy/prometheus
COPY model model
COPY service service
COPY src src
# Without isolation, the build uses the setuptools installed above, whose hash was checked.
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && pip --python /opt/streetlight install --no-deps --no-index dist/*.whl


FROM ${PYTHON_IMAGE}

# A new volume gets the owner of this directory, so the owner must be set before VOLUME.
RUN groupadd --gid 10001 streetlight \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/streetlight \
            --shell /usr/sbin/nologin streetlight \
 && install --directory --owner 10001 --group 10001 /var/lib/streetlight
VOLUME /var/lib/streetlight

COPY --from=build /opt/streetlight /opt/streetlight

# The bill of materials: what is installed in this image.
RUN --mount=type=bind,source=deploy/sbom.py,target=/tmp/sbom.py \
    install --directory /usr/share/doc/streetlight \
 && /opt/streetlight/bin/python -I /tmp/sbom.py > /usr/share/doc/streetlight/sbom.cdx.json

# Unbuffered, so that log lines appear at once.
ENV PATH=/opt/streetlight/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    STREETLIGHT_DATA_DIR=/var/lib/streetlight \
    STREETLIGHT_HOST=0.0.0.0

# A number, because Kubernetes' runAsNonRoot rejects user names.
USER 10001:10001
EXPOSE 8000

# The image has no curl. http.client ignores the proxy variables, which urllib.request would use. With
# -I, Python imports no modules from the working directory.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s CMD ["python", "-I", "-c", "\
import http.client, os, sys; \
port = os.environ.get('STREETLIGHT_PORT') or os.environ.get('AIP_HTTP_PORT') or 8000; \
server = http.client.HTTPConnection('localhost', int(port), timeout=4); \
server.request('GET', '/readyz'); \
sys.exit(server.getresponse().status != 200)"]

# No shell: `serve` becomes gunicorn, which receives SIGTERM itself and shuts down gracefully.
ENTRYPOINT ["streetlight"]
CMD ["serve"]

# Last, so that an image of another revision has the same layers.
ARG VERSION=
ARG REVISION=
ARG CREATED=
ARG SOURCE=
LABEL org.opencontainers.image.title="Streetlight" \
      org.opencontainers.image.description="Learns from observations when it is safe to cross, and serves walk/stop predictions over HTTP." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"
