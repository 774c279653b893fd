"""The files of deploy/proxies: the page, events, bodies and restarts through each proxy.

Each proxy serves TLS and HTTP/2 under a path. It runs with the file as it is, except for its port,
the name of its site, the place of the certificate and the address of the server.
"""

import contextlib
import json
import signal
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
import requests
import urllib3
from playwright.sync_api import Browser, expect

from streetlight.client import Client
from tests.page.browser import chromium, needs_browser, opened
from tests.proxies import running_proxy
from tests.server import DEADLINE, ForkedServer, Server, free_port
from tests.service.conftest import until

pytestmark = [*needs_browser, pytest.mark.storm]

FOLDER = Path(__file__).parent.parent / "deploy" / "proxies"
FILES = {
    "nginx": ("nginx.conf", {"listen 443": "listen 127.0.0.1:{port}"}),
    "haproxy": ("haproxy.cfg", {"bind :443": "bind 127.0.0.1:{port}"}),
    "caddy": ("Caddyfile", {"streetlight.example.org": "https://localhost:{port}"}),
    "traefik": ("traefik.yml", {}),
}
BEFORE = {"caddy": "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"}
# The client of these tests, which is no proxy.
CLIENT = "127.0.0.2"
ROW = {"lights": [1, 0, 1]}


@dataclass
class Site:
    """A proxy and the server behind it."""

    server: Server
    origin: str
    certificate: Path

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"{self.origin}/crossing/"

    def pool(self) -> urllib3.HTTPSConnectionPool:
        """Return a client that has the address CLIENT."""
        return urllib3.HTTPSConnectionPool(
            "localhost",
            int(self.origin.rpartition(":")[2]),
            ca_certs=str(self.certificate),
            source_address=(CLIENT, 0),
            retries=False,
            timeout=DEADLINE,
        )


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate of localhost, its key, and both in one file."""
    folder = tmp_path_factory.mktemp("certificate")
    key, cert = folder / "key.pem", folder / "cert.pem"
    options = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=localhost -days 2"
    options += f" -addext subjectAltName=DNS:localhost -keyout {key} -out {cert}"
    subprocess.run(["openssl", "req", "-x509", "-nodes", *options.split()], check=True, timeout=60)
    (folder / "cert-and-key.pem").write_text(cert.read_text() + key.read_text())
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with ForkedServer(folder, trainer=True, trusted_proxies="127.0.0.1") as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module", params=FILES)
def site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    certificate: Path,
    server: Server,
) -> Iterator[Site]:
    name, port = request.param, free_port()
    file, replaced = FILES[name]
    text = (FOLDER / file).read_text()
    places = {
        "/etc/streetlight": str(certificate),
        "127.0.0.1:8000": f"127.0.0.1:{server.port}",
        **replaced,
    }
    for written, here in places.items():
        assert written in text
        text = text.replace(written, here.format(port=port))
    with running_proxy(name, BEFORE.get(name, "") + text, port, tmp_path_factory.mktemp(name)):
        found = Site(server, f"https://localhost:{port}", certificate / "cert.pem")
        with found.pool() as pool:

            def answers() -> bool:
                # Traefik listens before it has read the file.
                with contextlib.suppress(urllib3.exceptions.SSLError):
                    return pool.request("GET", "/crossing/livez").status == 200
                return False

            until(answers)
        yield found


def test_the_page_works(browser: Browser, site: Site) -> None:
    errors: list[str] = []
    row = {"lights": [0, 1, 1], "outcome": "walk"}
    with opened(browser, site.url, ignore_https_errors=True) as page:  # with its event stream
        page.on("pageerror", lambda error: errors.append(str(error)))
        protocol = "performance.getEntriesByType('navigation')[0].nextHopProtocol"
        assert page.evaluate(protocol) == "h2"
        page.get_by_role("button", name="1 0 1", exact=True).click()
        expect(page.locator("#decision")).to_have_text("Walk")
        expect(page.locator('[data-curl="predict"]')).to_contain_text(f"curl {site.url}predict")
        page.locator("#walked").click()
        expect(page.locator("#corner .said")).to_contain_text("Recorded as observation")
        page.locator("#recipe [name=iterations]").fill("20")
        page.locator("#start").click()
        expect(page.locator("#job")).to_contain_text("succeeded")
        # What others do appears at once.
        number = site.server.expect(201, "POST", "/observations", row)["results"][0]["id"]
        newest = page.locator("#ledger tbody tr").first
        expect(newest).to_contain_text(str(number), timeout=5000)

        links = page.locator(".links a").evaluate_all("links => links.map(link => link.href)")
        assert links == [f"{site.url}tutorial", f"{site.url}docs", f"{site.url}#service"]
        page.locator(".links a").nth(1).click()
        page.locator("[id^=operations-]", has_text="/livez").click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute").click()
        expect(page.locator(".request-url").first).to_contain_text(f"{site.url}livez")
        expect(page.locator(".live-responses-table td.response-col_status").last).to_have_text(
            "200"
        )
    assert errors == []


def test_clients_follow_locations_and_are_named(site: Site) -> None:
    with requests.Session() as session:
        session.trust_env = False  # variables would replace the certificate
        session.verify = str(site.certificate)
        queued = session.post(site.url + "retrain")
        location = urljoin(queued.url, queued.headers["Location"])
        assert location.startswith(site.url)
        assert session.get(location).json()["id"] == queued.json()["id"]
        assert session.get(site.url.rstrip("/")).url == site.url
        redirected = session.get(site.url + "tutorial/")
        assert (redirected.status_code, redirected.url) == (200, site.url + "tutorial")
    curl = f"curl -sSL --fail --http2 --cacert {site.certificate} {site.url}"
    for path in ("versions/1/", "versions//1", "tutorial/index"):
        assert subprocess.check_output((curl + path).split(), timeout=DEADLINE)
    # Without Sec-Fetch-Site, as on pages without TLS, the server compares Origin and Host.
    command = [*(curl + "observations").split(), "-H", f"Origin: {site.origin}"]
    command += ["-d", json.dumps(ROW | {"outcome": "walk"})]
    assert b'"recorded":1' in subprocess.check_output(command, timeout=DEADLINE)
    # The address that the client says is its own isn't logged, also not by other headers.
    forged = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Request-ID": ""}
    forged |= {"X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/evil"}
    with site.pool() as pool:
        forged["X-Request-ID"] = f"named-{site.origin}"
        assert pool.request("GET", "/crossing/versions", headers=forged).status == 200
        forged["Origin"] = "https://evil.example"
        response = pool.request("POST", "/crossing/rollback", headers=forged)
        assert (response.status, "same origin" in response.json()["error"]) == (403, True)
    log = site.server.wait_for_log(forged["X-Request-ID"])
    [line] = [line for line in log.splitlines() if forged["X-Request-ID"] in line][:1]
    assert json.loads(line)["client"] == CLIENT


def test_the_python_client_follows_a_job(site: Site) -> None:
    trusted = ssl.create_default_context(cafile=site.certificate)
    with httpx.Client(verify=trusted) as http, Client(site.url, http=http) as client:
        assert client.predict(ROW["lights"]).decision == "walk"
        job = client.retrain(iterations=20, promote="never").wait(DEADLINE)
        assert job.version in [version.version for version in client.versions()]
    log = site.server.wait_for_log(f'"/jobs/{job.id}/events"')
    assert f'"/jobs/{job.id}"' not in log  # the stream passes, so the job isn't asked for


def test_large_bodies_pass(site: Site) -> None:
    row = b"[1,0,1%s]" % (b" " * 300)
    with site.pool() as pool:
        body = b'{"lights": [%s]}' % b",".join([row] * 100_000)
        assert 30 * 1024 * 1024 > len(body) > 29 * 1024 * 1024
        response = pool.request("POST", "/crossing/predict/batch", body=body)
        assert response.status == 200, response.data[:1000]
        # nginx or the server refuses it, and may end the connection before all of it is sent.
        with contextlib.suppress(urllib3.exceptions.ProtocolError, urllib3.exceptions.SSLError):
            response = pool.request("POST", "/crossing/predict/batch", body=body * 2)
            assert response.status in (413, 502)


def test_no_request_fails_while_workers_are_replaced(site: Site) -> None:
    done = threading.Event()

    def traffic() -> list[int]:
        statuses = []
        with site.pool() as pool:
            while not done.is_set():
                statuses.append(pool.request("POST", "/crossing/predict", json=ROW).status)
                statuses.append(pool.request("GET", "/crossing/versions").status)
        return statuses

    def exited() -> int:
        return site.server.log.read_text().count("Worker exiting")

    with ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(traffic) for _ in range(3)]
        try:
            before = exited()
            site.server.process.send_signal(signal.SIGHUP)
            until(lambda: exited() > before)
        finally:
            done.set()
        statuses = [status for client in clients for status in client.result()]
    assert len(statuses) > 20
    assert set(statuses) == {200}
