"""TLS as clients see it."""

import hashlib
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from tests.running import free_port, openecr
from tests.server.watching import children, server_json, trusting, wait_for

AWS_NAME = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


@contextmanager
def serving_tls(data_dir: Path, *flags: str) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    port = free_port()
    command = [sys.executable, "-m", "openecr", "serve", "--data-dir", str(data_dir), "--port", str(port)]
    with (data_dir / "test-server.log").open("ab") as log:
        process = subprocess.Popen([*command, "--workers", "1", *flags], stdout=log, stderr=log)
    try:
        wait_for(
            lambda: process.poll() is not None or server_json(data_dir) is not None, "the server is up, or has failed"
        )
        assert process.poll() is None, (data_dir / "test-server.log").read_text()
        yield port, process
    finally:
        process.terminate()
        process.wait(timeout=60)


def certificate(port: int, ca: Path, name: str) -> bytes:
    """The certificate that the server shows to a client that verifies it for this name."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=15) as plain,
        trusting(ca).wrap_socket(plain, server_hostname=name) as secure,
    ):
        shown = secure.getpeercert(binary_form=True)
        secure.sendall(f"GET /livez HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        assert secure.recv(100).startswith(b"HTTP/1.1 200")
    assert shown is not None
    return hashlib.sha256(shown).digest()


def test_own_ca_covers_plain_and_aws_shaped_names_and_env_trusts_it(tmp_path: Path) -> None:
    with serving_tls(tmp_path, "--tls", "--domain", "amazonaws.com") as (port, _):
        ca = tmp_path / "tls" / "ca.pem"
        for name in ("localhost", "127.0.0.1", AWS_NAME, "api.ecr.eu-west-1.amazonaws.com", "ecr.us-east-1.api.aws"):
            certificate(port, ca, name)
        with pytest.raises(ssl.SSLCertVerificationError):
            certificate(port, ca, "registry.example.com")
        printed = openecr("env", "--data-dir", str(tmp_path), "--shell", "bash").stdout
        bundle = tmp_path / "tls" / "bundle.pem"
        assert f"export AWS_CA_BUNDLE={bundle}\n" in printed
        assert bundle.read_text().endswith(ca.read_text())
        assert bundle.read_text().count("BEGIN CERTIFICATE") > 10
        certificate(port, bundle, "localhost")


def test_tls_1_2_is_spoken(tmp_path: Path) -> None:
    with serving_tls(tmp_path, "--tls") as (port, _):
        context = trusting(tmp_path / "tls" / "ca.pem")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with (
            socket.create_connection(("127.0.0.1", port), timeout=15) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            assert secure.version() == "TLSv1.2"


def test_new_name_makes_a_new_certificate_of_the_same_ca(tmp_path: Path) -> None:
    ca = tmp_path / "tls" / "ca.pem"
    with serving_tls(tmp_path, "--tls") as (port, _):
        first = certificate(port, ca, "localhost")
    kept = ca.read_bytes()
    with serving_tls(tmp_path, "--tls") as (port, _):
        assert certificate(port, ca, "localhost") == first
    with serving_tls(tmp_path, "--tls", "--url", "https://registry.example.com") as (port, _):
        assert certificate(port, ca, "registry.example.com") != first
    assert ca.read_bytes() == kept


def test_own_key_in_another_pem_form_is_served_and_replaced_on_hangup(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    with serving_tls(made, "--tls"):
        pass
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    chain, key, ca = data_dir / "given.pem", data_dir / "given-sec1.key", made / "tls" / "ca.pem"

    def give() -> None:
        chain.write_bytes((made / "tls" / "server.pem").read_bytes())
        parsed = serialization.load_pem_private_key((made / "tls" / "server.key").read_bytes(), None)
        form = serialization.PrivateFormat.TraditionalOpenSSL
        key.write_bytes(parsed.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))

    give()
    with serving_tls(data_dir, "--tls-cert", str(chain), "--tls-key", str(key)) as (port, process):
        first = certificate(port, ca, "localhost")
        (made / "tls" / "server.pem").unlink()
        with serving_tls(made, "--tls"):
            give()
        before = children(data_dir)
        process.send_signal(signal.SIGHUP)
        wait_for(
            lambda: len(found := children(data_dir)) == 2 and not set(found) & set(before), "both children are new"
        )
        assert certificate(port, ca, "localhost") != first


def test_key_that_is_not_the_certificates_is_one_sentence(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with serving_tls(tmp_path / name, "--tls"):
            pass
    refused = openecr(
        "serve",
        "--data-dir",
        str(tmp_path / "data"),
        "--tls-cert",
        str(tmp_path / "one" / "tls" / "server.pem"),
        "--tls-key",
        str(tmp_path / "two" / "tls" / "server.key"),
        check=False,
        timeout=60,
    )
    assert refused.returncode == 2
    assert "is not the key of" in refused.stderr
    assert refused.stderr.count("\n") == 1
