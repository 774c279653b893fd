# The service, without what it took to build it.

# Any Debian Python from 3.11 on will do; `docker build --build-arg PYTHON_IMAGE=…` names another.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# The lock files come first: a change to the code alone installs nothing anew. The environment has
# no pip, for this stage's pip fills it; and only wheels go in, for there is no compiler here.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/streetlight \
 && pip --python /opt/streetlight install --require-hashes --only-binary :all: -r requirements.lock \
 && pip install --require-hashes --only-binary :all: -r requirements-build.lock

COPY pyproject.toml README.md LICENSE ./
COPY model model
COPY service service
COPY src src
# Without isolation the build uses the setuptools just installed, whose hash is known.
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && pip --python /opt/streetlight install --no-deps --no-index dist/*.whl


FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="Streetlight" \
      org.opencontainers.image.description="Learns from observations when it is safe to cross, and serves walk/stop predictions over HTTP." \
      org.opencontainers.image.licenses="MIT"

# A new volume takes its owner from the folder here, so the folder must be the user's before VOLUME.
RUN groupadd --gid 10001 streetlight \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/streetlight \
            --shell /usr/sbin/nologin streetlight \
 && install --directory --owner 10001 --group 10001 /var/lib/streetlight
VOLUME /var/lib/streetlight

COPY --from=build /opt/streetlight /opt/streetlight

# Unbuffered, so that the log shows a line when it is written and not when the process ends.
ENV PATH=/opt/streetlight/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    STREETLIGHT_DATA_DIR=/var/lib/streetlight \
    STREETLIGHT_HOST=0.0.0.0 \
    STREETLIGHT_PORT=8000

# By number: Kubernetes can't tell from a name that it isn't root's.
USER 10001:10001
EXPOSE 8000

# The image has no curl. http.client, since urllib.request would ask a proxy from the environment.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s CMD ["python", "-c", "\
import http.client, os, sys; \
server = http.client.HTTPConnection('localhost', int(os.environ['STREETLIGHT_PORT']), timeout=4); \
server.request('GET', '/readyz'); \
sys.exit(server.getresponse().status != 200)"]

# No shell in between: `serve` becomes gunicorn, which gets SIGTERM itself and drains.
ENTRYPOINT ["streetlight"]
CMD ["serve"]
