"""openecr behind nginx that ends TLS: whose word counts, what answers call the server, and what signatures cover."""

import base64
import datetime
import http.client
import ipaddress
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.registry_client import Answer, RegistryClient, digest_of
from tests.running import DEFAULT_ACCOUNT, Server, free_port, running
from tests.waiting import wait_until_it_listens

MIB = 1024 * 1024
CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        server_name localhost registry.example;
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem;
        client_max_body_size 0;
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}
}}
"""


@dataclass
class Proxied:
    """A server, and the nginx in front of it."""

    server: Server
    port: int
    certificate: Path

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def request(
        self, method: str, target: str, body: Any = None, password: str | None = None, **headers: str
    ) -> Answer:
        """One request through nginx; header names take underscores for dashes."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=120, context=context)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if password is not None:
            sent["Authorization"] = "Basic " + base64.b64encode(f"AWS:{password}".encode()).decode()
        try:
            connection.request(method, target, body=body, headers=sent)
            received = connection.getresponse()
            return Answer(received.status, {k.lower(): v for k, v in received.getheaders()}, received.read())
        finally:
            connection.close()

    def client(self, service: str) -> Any:
        """A boto3 client that reaches the server through nginx."""
        variables = self.server.environment()
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=self.url,
            verify=str(self.certificate),
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}),
        )


def certify(folder: Path) -> Path:
    """A certificate of its own for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return folder / "certificate.pem"


def find_nginx() -> str:
    """Where nginx is; a machine without it (Debian: nginx-light) skips these tests and says so."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if found is None:
        pytest.skip("nginx is not installed (Debian: nginx-light)")
    return found


def proxied(folder: Path, *flags: str) -> Iterator[Proxied]:
    nginx = find_nginx()
    certificate = certify(folder)
    (folder / "data").mkdir()
    with running(folder / "data", "--workers", "1", *flags) as server:
        port = free_port()
        text = CONFIGURATION.format(folder=folder, port=port, upstream=server.port)
        (folder / "nginx.conf").write_text(text)
        process = subprocess.Popen([nginx, "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")])
        try:
            wait_until_it_listens(process, ("127.0.0.1", port), (folder / "error.log").read_text)
            yield Proxied(server, port, certificate)
        finally:
            process.terminate()
            process.wait(timeout=30)


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """nginx is a trusted proxy, so the name that clients use is the one it tells."""
    yield from proxied(tmp_path_factory.mktemp("trusted"), "--trusted-proxy", "127.0.0.0/8")


@pytest.fixture(scope="module")
def untrusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """nginx is nobody in particular; the server's own address is all it goes by."""
    yield from proxied(tmp_path_factory.mktemp("untrusted"))


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """The server was told the name that clients use."""
    yield from proxied(
        tmp_path_factory.mktemp("named"), "--trusted-proxy", "127.0.0.1/32", "--url", "https://registry.example"
    )


class TestTrusted:
    def test_a_signature_holds_for_the_host_that_the_client_signed(self, trusted: Proxied) -> None:
        assert trusted.client("sts").get_caller_identity()["Account"] == DEFAULT_ACCOUNT
        trusted.client("ecr").create_repository(repositoryName="nginx/signed")

    def test_answers_name_the_proxy(self, trusted: Proxied) -> None:
        ecr = trusted.client("ecr")
        made = ecr.create_repository(repositoryName="nginx/named")["repository"]
        assert made["repositoryUri"] == f"localhost:{trusted.port}/nginx/named"
        data = ecr.get_authorization_token()["authorizationData"][0]
        assert data["proxyEndpoint"] == trusted.url
        challenge = trusted.request("GET", "/v2/").headers["www-authenticate"]
        assert challenge == f'Basic realm="{trusted.url}/",service="ecr.amazonaws.com"'

    def test_a_big_layer_is_pushed_and_pulled_through_the_proxy(self, trusted: Proxied) -> None:
        ecr, password = trusted.client("ecr"), trusted.server.password()
        ecr.create_repository(repositoryName="nginx/big")
        pieces = [bytes([number % 251]) * MIB for number in range(64)]
        digest = digest_of(b"".join(pieces))
        opened = trusted.request("POST", "/v2/nginx/big/blobs/uploads/", b"", password)
        assert (opened.status, opened.headers["location"][:4]) == (202, "/v2/"), "a location that no proxy can spoil"
        patched = trusted.request("PATCH", opened.headers["location"], iter(pieces), password)
        assert (patched.status, patched.headers["range"]) == (202, f"0-{64 * MIB - 1}")
        done = trusted.request("PUT", f"{patched.headers['location']}?digest={digest}", b"", password)
        assert done.status == 201
        redirect = trusted.request("GET", done.headers["location"], None, password)
        assert redirect.status == 307
        assert digest_of(trusted.request("GET", redirect.headers["location"]).body) == digest
        url = ecr.get_download_url_for_layer(repositoryName="nginx/big", layerDigest=digest)["downloadUrl"]
        assert url.startswith(f"{trusted.url}/layers/")
        part = trusted.request("GET", url.removeprefix(trusted.url), Range="bytes=-10")
        assert (part.status, part.body) == (206, pieces[-1][-10:])

    @pytest.mark.parametrize("lie", ['a"b', "a, b.example", "a b", "a/b", "<script>", "", "x:99999999", "user@host"])
    def test_a_forwarded_host_that_is_no_host_is_not_repeated(self, trusted: Proxied, lie: str) -> None:
        direct = RegistryClient(trusted.server.port, None)
        challenge = direct.request("GET", "/v2/", X_Forwarded_Host=lie).headers["www-authenticate"]
        assert challenge == f'Basic realm="{trusted.server.url}/",service="ecr.amazonaws.com"'


class TestUntrusted:
    def test_what_the_proxy_says_does_not_count(self, untrusted: Proxied) -> None:
        challenge = untrusted.request("GET", "/v2/").headers["www-authenticate"]
        assert challenge == f'Basic realm="{untrusted.server.url}/",service="ecr.amazonaws.com"'

    def test_pushes_and_pulls_work_all_the_same(self, untrusted: Proxied) -> None:
        untrusted.server.client("ecr").create_repository(repositoryName="nginx/relative")
        password, digest = untrusted.server.password(), digest_of(b"layer")
        path = f"/v2/nginx/relative/blobs/uploads/?digest={digest}"
        assert untrusted.request("POST", path, b"layer", password).status == 201
        redirect = untrusted.request("GET", f"/v2/nginx/relative/blobs/{digest}", None, password)
        assert untrusted.request("GET", redirect.headers["location"]).body == b"layer"


class TestNamed:
    def test_the_told_name_wins_over_the_forwarded_one(self, named: Proxied) -> None:
        made = named.client("ecr").create_repository(repositoryName="nginx/told")["repository"]
        assert made["repositoryUri"] == "registry.example/nginx/told"
        challenge = named.request("GET", "/v2/").headers["www-authenticate"]
        assert challenge == 'Basic realm="https://registry.example/",service="ecr.amazonaws.com"'
