"""Profiles are written beside what people keep in the same files."""

from pathlib import Path

import pytest

from openecr.access.credentials import AccessKey
from openecr.cli import aws_profile
from openecr.cli.environment import Access
from openecr.cli.options import CommandFailed

OTHERS = (
    b"# my notes\r\n[default]\nregion=eu-west-1   \n\n[profile  work]\n  role_arn = x\n[services mine]\ns3 =\n  a = b"
)


def access(url: str = "http://localhost:5050", ca: str | None = None) -> Access:
    return Access(url, "us-east-1", AccessKey("AKIAEXAMPLE", "secret"), ca)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    return {
        "AWS_CONFIG_FILE": str(tmp_path / "aws" / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "aws" / "credentials"),
    }


def read(files: dict[str, str], name: str = "AWS_CONFIG_FILE") -> bytes:
    return Path(files[name]).read_bytes()


def test_new_files_are_private_and_complete(files: dict[str, str]) -> None:
    aws_profile.write("local", access(ca="/d/bundle.pem"), files)
    assert read(files).decode() == (
        "[profile local]\n# written by openecr env --profile\nregion = us-east-1\nservices = openecr-local\n"
        "ca_bundle = /d/bundle.pem\n\n"
        "[services openecr-local]\n# written by openecr env --profile\n"
        "ec2 =\n  endpoint_url = http://localhost:5050\n"
        "ecr =\n  endpoint_url = http://localhost:5050\niam =\n  endpoint_url = http://localhost:5050\n"
        "kms =\n  endpoint_url = http://localhost:5050\n"
        "sts =\n  endpoint_url = http://localhost:5050\n"
    )
    assert b"[local]" in read(files, "AWS_SHARED_CREDENTIALS_FILE")
    assert Path(files["AWS_SHARED_CREDENTIALS_FILE"]).stat().st_mode & 0o777 == 0o600


def test_other_content_stays_byte_for_byte(files: dict[str, str]) -> None:
    path = Path(files["AWS_CONFIG_FILE"])
    path.parent.mkdir()
    path.write_bytes(OTHERS)
    aws_profile.write("local", access(), files)
    assert read(files).startswith(OTHERS + b"\n\n[profile local]")
    with path.open("ab") as file:
        file.write(b"\n[profile after]\nregion = x\n")
    aws_profile.write("local", access("http://localhost:6060"), files)
    text = read(files)
    assert text.startswith(OTHERS)
    assert text.endswith(b"\n[profile after]\nregion = x\n")
    assert b"5050" not in text
    assert text.count(b"[profile local]") == 1


def test_writing_again_changes_nothing(files: dict[str, str]) -> None:
    aws_profile.write("local", access(), files)
    first = read(files)
    aws_profile.write("local", access(), files)
    assert read(files) == first


@pytest.mark.parametrize(
    ("name", "variable", "content"),
    [
        ("default", "AWS_CONFIG_FILE", b"[default]\nregion = eu-west-1\n"),
        ("work", "AWS_CONFIG_FILE", b'[profile "work"]\nregion = eu-west-1\n'),
        ("work", "AWS_SHARED_CREDENTIALS_FILE", b"[work]\naws_access_key_id = AKIAREAL\n"),
    ],
)
def test_profile_that_somebody_else_wrote_is_never_replaced(
    files: dict[str, str], name: str, variable: str, content: bytes
) -> None:
    path = Path(files[variable])
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(CommandFailed, match="that openecr did not write"):
        aws_profile.write(name, access(), files)
    assert path.read_bytes() == content
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_link_stays_a_link(files: dict[str, str], tmp_path: Path) -> None:
    real = tmp_path / "dotfiles"
    real.touch()
    link = Path(files["AWS_CONFIG_FILE"])
    link.parent.mkdir()
    link.symlink_to(real)
    aws_profile.write("local", access(), files)
    assert link.is_symlink()
    assert b"[profile local]" in real.read_bytes()


@pytest.mark.parametrize("name", ["", "a b", "x]\n[default", "ü"])
def test_name_that_would_break_the_file_is_refused(files: dict[str, str], name: str) -> None:
    with pytest.raises(CommandFailed, match="is no name for a profile"):
        aws_profile.write(name, access(), files)
