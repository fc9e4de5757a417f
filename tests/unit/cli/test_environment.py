"""The variables of ``openecr env``, in every shell."""

import shutil
import subprocess
from pathlib import Path

import pytest

from openecr.access.credentials import AccessKey
from openecr.cli import environment
from openecr.cli.ca_bundle import ca_bundle
from openecr.processes.prepare import clock_offset_us
from openecr.settings import SettingsError

NASTY = 'it\'s $HOME "quoted" `id` \\ back;slash & more'
ACCESS = environment.Access(
    "http://localhost:5050", "us-east-1", AccessKey("AKIAEXAMPLE", "a/b+c=="), "/data/tls/bundle.pem"
)


def test_every_set_variable_is_one_that_unset_takes_back() -> None:
    assert list(environment.variables(ACCESS)) == environment.every_name()


def test_services_that_are_not_served_keep_their_endpoints() -> None:
    assert "AWS_ENDPOINT_URL" not in environment.variables(ACCESS)
    assert "AWS_ENDPOINT_URL_S3" not in environment.variables(ACCESS)
    assert environment.endpoint_variable("ecr-public") == "AWS_ENDPOINT_URL_ECR_PUBLIC"


@pytest.mark.parametrize("value", [NASTY, "two\nlines", "", "-e"])
def test_posix_shell_reads_back_what_was_quoted(value: str) -> None:
    lines = "\n".join(environment.set_lines({"AWS_X": value}, "bash"))
    told = subprocess.run(["sh", "-c", f'{lines}\nprintf %s "$AWS_X"'], capture_output=True, text=True, check=True)
    assert told.stdout == value


def test_fish_and_powershell_quote_in_their_own_ways() -> None:
    assert environment.set_lines({"A": NASTY}, "fish") == [
        "set -gx A 'it\\'s $HOME \"quoted\" `id` \\\\ back;slash & more';"
    ]
    assert environment.set_lines({"A": NASTY}, "powershell") == [
        "$Env:A = 'it''s $HOME \"quoted\" `id` \\ back;slash & more'"
    ]
    assert environment.unset_lines(["A"], "fish") == ["set -e A;"]
    assert environment.unset_lines(["A"], "powershell") == ["Remove-Item Env:A -ErrorAction SilentlyContinue"]


def test_fish_reads_back_what_was_quoted() -> None:
    fish = shutil.which("fish")
    if fish is None:
        return  # the form itself is held by the test above
    lines = "\n".join(environment.set_lines({"AWS_X": NASTY}, "fish"))
    told = subprocess.run([fish, "-c", f"{lines}\nprintf %s $AWS_X"], capture_output=True, text=True, check=True)
    assert told.stdout == NASTY


def test_bundle_is_rebuilt_when_a_part_changes_and_keeps_what_the_shell_trusts(tmp_path: Path) -> None:
    own, company = tmp_path / "ca.pem", tmp_path / "company.pem"
    own.write_text("own one\n")
    company.write_text("company\n")
    bundle = ca_bundle(tmp_path, own, str(company))
    assert bundle.read_text() == "company\nown one\n"
    own.write_text("own two\n")
    assert ca_bundle(tmp_path, own, str(company)).read_text() == "company\nown two\n"
    # A second eval in the same shell finds its own bundle set: it must not grow by itself each time.
    again = ca_bundle(tmp_path, own, str(bundle)).read_text()
    assert again.count("own two") == 1
    assert "BEGIN CERTIFICATE" in again


@pytest.mark.parametrize(
    ("text", "seconds"), [("+181d", 181 * 86_400), ("+1d12h", 129_600), ("+5m", 300), ("+30s", 30), ("+0s", 0)]
)
def test_clock_offsets(text: str, seconds: int) -> None:
    assert clock_offset_us(text) == seconds * 1_000_000


@pytest.mark.parametrize("text", ["181d", "-1d", "+1w", "+", "+d", "tomorrow", "+1d ", "+1.5d"])
def test_clock_that_is_no_offset_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"write it like \+181d"):
        clock_offset_us(text)
