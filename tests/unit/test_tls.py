"""The own CA and its certificates."""

import datetime
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.verification import PolicyBuilder, Store

from openecr import tls
from openecr.settings import Settings, SettingsError

NOW = datetime.datetime(2026, 11, 23, 12, 0, tzinfo=datetime.UTC)
NAMES = ["localhost", "127.0.0.1", "*.dkr.ecr.us-east-1.example.com"]


def leaf(found: tls.Certificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(found.chain.read_bytes())


def verify(folder: Path, name: str, at: datetime.datetime = NOW) -> None:
    authority = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    verifier = PolicyBuilder().store(Store([authority])).time(at).build_server_verifier(x509.DNSName(name))
    verifier.verify(x509.load_pem_x509_certificate((folder / "server.pem").read_bytes()), [])


def test_strict_verifier_accepts_the_certificate_for_its_names_alone(tmp_path: Path) -> None:
    tls.ensure(tmp_path, NAMES, NOW)
    verify(tmp_path, "localhost")
    verify(tmp_path, "123456789012.dkr.ecr.us-east-1.example.com")
    with pytest.raises(x509.verification.VerificationError):
        verify(tmp_path, "other.example.com")


def test_leaf_lives_no_longer_than_clients_accept(tmp_path: Path) -> None:
    found = leaf(tls.ensure(tmp_path, NAMES, NOW))
    assert found.not_valid_after_utc - found.not_valid_before_utc <= datetime.timedelta(days=397)


def test_keys_are_private_and_pkcs8(tmp_path: Path) -> None:
    found = tls.ensure(tmp_path, NAMES, NOW)
    for key in (found.private_key, tmp_path / "ca.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert key.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")


@pytest.mark.parametrize(
    ("names", "days", "renewed"),
    [
        (NAMES, 0, False),
        (list(reversed(NAMES)), 0, False),
        (NAMES, 365, False),
        (NAMES, 367, True),
        ([*NAMES, "registry.example.com"], 0, True),
        (NAMES[:1], 0, True),
    ],
)
def test_certificate_is_renewed_when_names_change_or_a_month_is_left(
    tmp_path: Path, names: list[str], days: int, renewed: bool
) -> None:
    first = tls.ensure(tmp_path, NAMES, NOW)
    authority = (tmp_path / "ca.pem").read_bytes()
    serial = leaf(first).serial_number
    later = NOW + datetime.timedelta(days=days)
    again = tls.ensure(tmp_path, names, later)
    assert again.renewed is renewed
    assert (leaf(again).serial_number != serial) is renewed
    assert (tmp_path / "ca.pem").read_bytes() == authority
    verify(tmp_path, "localhost", later)


def test_new_authority_makes_a_new_certificate(tmp_path: Path) -> None:
    tls.ensure(tmp_path, NAMES, NOW)
    (tmp_path / "ca.pem").unlink()
    (tmp_path / "ca.key").unlink()
    assert tls.ensure(tmp_path, NAMES, NOW).renewed
    verify(tmp_path, "localhost")


def test_authority_without_its_key_is_refused_and_kept(tmp_path: Path) -> None:
    tls.ensure(tmp_path, NAMES, NOW)
    kept = (tmp_path / "ca.pem").read_bytes()
    (tmp_path / "ca.key").unlink()
    with pytest.raises(SettingsError, match=r"restore ca.pem and ca.key"):
        tls.ensure(tmp_path, NAMES, NOW)
    assert (tmp_path / "ca.pem").read_bytes() == kept


def test_certificate_whose_key_was_lost_between_the_two_writes_is_made_anew(tmp_path: Path) -> None:
    found = tls.ensure(tmp_path, NAMES, NOW)
    other = tls.ensure(tmp_path / "other", NAMES, NOW)
    found.private_key.write_bytes(other.private_key.read_bytes())
    again = tls.ensure(tmp_path, NAMES, NOW)
    assert again.renewed
    key = serialization.load_pem_private_key(again.private_key.read_bytes(), None)
    assert key.public_key() == leaf(again).public_key()


def test_served_names_follow_the_settings() -> None:
    plain = tls.served_names(Settings(host="10.0.0.5", url="https://registry.example.com:8443"))
    assert plain == ["localhost", "127.0.0.1", "::1", "10.0.0.5", "registry.example.com"]
    own = tls.served_names(Settings(domain="ecr.test", region="xx-test-1"))
    for region in ("us-east-1", "cn-north-1", "xx-test-1"):
        assert {
            f"*.dkr.ecr.{region}.ecr.test",
            f"api.ecr.{region}.ecr.test",
            f"sts.{region}.ecr.test",
            f"prod-{region}-starport-layer-bucket.s3.{region}.ecr.test",
        } <= set(own)
    real = set(tls.served_names(Settings(domain="amazonaws.com")))
    assert {"*.dkr.ecr.eu-west-1.amazonaws.com", "ecr.eu-west-1.api.aws", "*.dkr-ecr.eu-west-1.on.aws"} <= real
    assert {"api.ecr-fips.us-east-1.amazonaws.com", "ecr-fips.us-east-1.amazonaws.com"} <= real
    assert not any("cn-north-1" in name for name in real)


def test_certificate_of_all_aws_names_stays_small_enough_for_every_client(tmp_path: Path) -> None:
    # Go refuses handshake messages over 64 KiB, older GnuTLS over 48 KiB.
    found = tls.ensure(tmp_path, tls.served_names(Settings(domain="amazonaws.com")), NOW)
    assert len(leaf(found).public_bytes(serialization.Encoding.DER)) < 32 * 1024


def test_given_key_with_a_password_is_refused(tmp_path: Path) -> None:
    made = tls.ensure(tmp_path / "made", NAMES, NOW)
    key = serialization.load_pem_private_key(made.private_key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )
    settings = Settings(data_dir=tmp_path, tls_cert=made.chain, tls_key=locked)
    with pytest.raises(SettingsError, match="without a password"):
        tls.prepare(settings, NOW)
