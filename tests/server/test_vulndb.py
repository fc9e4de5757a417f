"""``openecr vulndb`` on a deployment: what gets into use, and what is in use when it does not."""

import fcntl
import json
import shutil
import signal
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from openecr.data_dir import vulnerability_data_path
from openecr.scan.vulndb.index import open_index
from tests.embedded import execute
from tests.forked_commands import start_forked
from tests.running import environment, openecr, running
from tests.serving import serving
from tests.vulnerability_records import bulk, mirror, record, zipped
from tests.waiting import wait_until

FLASK = record("GHSA-1", "Flask", aliases=["CVE-2026-1000"])


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("left")
    with running(folder, "--workers", "1"):
        pass
    return folder


@pytest.fixture
def data_dir(left: Path, tmp_path: Path) -> Path:
    """A stopped deployment of one's own."""
    return Path(shutil.copytree(left, tmp_path / "deployment"))


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    return mirror(tmp_path / "exports", PyPI=[FLASK], npm=[record("GHSA-2", "lodash", "npm")])


def vulndb(data_dir: Path, *arguments: str, fails: bool = False, **variables: Any) -> str:
    """What a command said: on standard error where it must fail, as one sentence."""
    env = environment() | variables
    done = openecr("vulndb", *arguments, "--data-dir", str(data_dir), check=not fails, env=env)
    if fails:
        assert done.returncode in (1, 2), done.stdout
        assert done.stderr.startswith("openecr: ")
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr
    return done.stdout


def status(data_dir: Path) -> Any:
    return json.loads(vulndb(data_dir, "status", "--json"))


def left_over(data_dir: Path) -> list[str]:
    """What lies in the folder beside builds and downloads."""
    names = (path.name for path in vulnerability_data_path(data_dir).iterdir())
    return sorted(name for name in names if not name.endswith(".index") and name not in ("downloads", "update.lock"))


def test_what_is_imported_is_in_use_and_told_with_its_terms(data_dir: Path, exports: Path) -> None:
    assert status(data_dir) == {"generation": None}
    assert "every scan fails" in vulndb(data_dir, "status")

    said = vulndb(data_dir, "import", str(exports))

    assert "2 records on packages of 2 ecosystems" in said
    told = status(data_dir)
    assert told["ecosystems"] == {"PyPI": 1, "npm": 1}
    assert told["dataAsOf"] == "2026-01-02 03:04:05 UTC"
    assert told["ageSeconds"] > 86_400
    assert told["sources"] == [
        {
            "source": "GitHub Advisory Database",
            "license": "CC-BY-4.0",
            "url": "https://github.com/advisories",
            "records": 2,
        }
    ]
    assert "older than the 7 days of vulndb_max_age_days" in vulndb(data_dir, "status")
    index = open_index(vulnerability_data_path(data_dir) / f"{told['generation']}.index", sha256_hex=told["sha256"])
    assert [one.id for one in index.advisories("PyPI", "flask")] == ["GHSA-1"]
    index.close()
    assert execute(data_dir, "SELECT count(*) FROM job WHERE kind = 'rematch-packages'") == [(1,)]
    assert left_over(data_dir) == []


def test_an_import_takes_the_place_of_everything_and_says_what_is_gone(data_dir: Path, exports: Path) -> None:
    vulndb(data_dir, "import", str(exports))
    said = vulndb(data_dir, "import", str(exports / "PyPI" / "all.zip"))
    assert "no longer there: npm; images with their packages cannot be judged" in said
    assert status(data_dir)["ecosystems"] == {"PyPI": 1}


def test_exploits_are_imported_beside_the_records(data_dir: Path, exports: Path, tmp_path: Path) -> None:
    epss, kev = tmp_path / "epss.csv", tmp_path / "kev.json"
    epss.write_text("#model_version:v1\ncve,epss,percentile\nCVE-2026-1000,0.5,0.9\n")
    kev.write_text(json.dumps({"vulnerabilities": [{"cveID": "CVE-2026-1000"}]}))
    output = tmp_path / "made.index"

    vulndb(data_dir, "import", str(exports), "--epss", str(epss), "--kev", str(kev), "--output", str(output))

    index = open_index(output)
    details = index.details(("CVE-2026-1000",))["CVE-2026-1000"]
    index.close()
    assert (details.epss, details.exploited) == (0.5, True)
    assert status(data_dir) == {"generation": None}  # it was only written


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"PyPI/all.zip": b"no zip"}, "is no zip, or is cut"),
        ({"PyPI/all.zip": zipped({f"{n}.json": "{" for n in range(20)})}, "20 of 20 files are no records"),
        ({"PyPI/all.zip": zipped({"a.json": b" " * 30_000_000} | {f"{n}.json": b" " * 9_000_000 for n in range(9)})},
         "inflates to more than 200 times its size"),
        ({"README.md": b"nothing"}, "no record in it that speaks of a package"),
        ({"PyPI/GHSA-1.json": b"[" * 100_000}, "no record in it that speaks of a package"),
    ],
)  # fmt: skip
def test_what_is_no_data_changes_nothing(
    data_dir: Path, exports: Path, tmp_path: Path, files: dict[str, bytes], why: str
) -> None:
    vulndb(data_dir, "import", str(exports))
    before = status(data_dir)
    for name, content in files.items():
        path = tmp_path / "bad" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    told = vulndb(data_dir, "import", str(tmp_path / "bad"), fails=True)

    assert why in told
    assert "the data in use stays" in told
    assert status(data_dir)["generation"] == before["generation"]
    assert left_over(data_dir) == []


def test_scores_that_are_none_change_nothing(data_dir: Path, exports: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    for content in ("", "cve,epss\nCVE-2026-1000,2\n", "cve,epss\nx,0.1\n", "a,b\n1,2\n", "cve,epss\nCVE-2026-1,nan\n"):
        wrong.write_text(content)
        assert "the data in use stays" in vulndb(data_dir, "import", str(exports), "--epss", str(wrong), fails=True)
    for content in ("", "{}", '{"vulnerabilities": []}', '{"vulnerabilities": [7]}'):
        wrong.write_text(content)
        assert "the data in use stays" in vulndb(data_dir, "import", str(exports), "--kev", str(wrong), fails=True)
    assert "there is no" in vulndb(data_dir, "import", str(tmp_path / "absent"), fails=True)
    assert status(data_dir) == {"generation": None}


def test_a_build_that_is_killed_leaves_what_was_in_use(data_dir: Path, exports: Path, tmp_path: Path) -> None:
    vulndb(data_dir, "import", str(exports))
    before = status(data_dir)
    many = tmp_path / "many.zip"
    many.write_bytes(bulk(record(f"GHSA-{number}", f"p{number}") for number in range(20_000)))
    folder = vulnerability_data_path(data_dir)

    with (tmp_path / "killed.log").open("wb") as log:
        command = ("vulndb", "import", str(many), "--data-dir", str(data_dir))
        process = start_forked(command, environment(), log, log)
        wait_until(lambda: [path for path in folder.glob("build-*/*.staging") if path.stat().st_size > 0], "it builds")
        process.send_signal(signal.SIGKILL)
        assert process.wait() != 0

    assert status(data_dir)["generation"] == before["generation"]
    assert list(folder.glob("build-*")) != []
    vulndb(data_dir, "import", str(exports))
    assert left_over(data_dir) == []
    assert status(data_dir)["ecosystems"] == {"PyPI": 1, "npm": 1}


class Exports:
    """OSV's exports of a test: served from a folder, and what was asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.fetched: list[str] = []
        self.cut: set[str] = set()
        """Paths whose next answer ends in the middle."""
        self.url = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = self._folder / handler.path.lstrip("/").replace("%20", " ")
        if not path.is_file():
            handler.send_error(404)
            return
        content = path.read_bytes()
        etag = f'"{hash(content)}"'
        if handler.headers.get("if-none-match") == etag:
            handler.send_response(304)
            handler.end_headers()
            return
        self.fetched.append(handler.path)
        handler.send_response(200)
        handler.send_header("ETag", etag)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        whole = handler.path not in self.cut
        self.cut.discard(handler.path)
        handler.wfile.write(content if whole else content[: len(content) // 2])


@pytest.fixture
def source(exports: Path) -> Iterator[Exports]:
    made = Exports(exports)
    with serving(made.answer) as port:
        made.url = f"http://127.0.0.1:{port}"
        yield made


def test_an_update_fetches_what_changed_and_what_did_not_is_current_again(
    data_dir: Path, exports: Path, source: Exports
) -> None:
    source.cut = {"/PyPI/all.zip"}
    said = vulndb(data_dir, "update", OPENECR_VULNDB_URL=source.url)
    assert "fetched 2, unchanged 0; not there: AlmaLinux" in said
    first = status(data_dir)
    assert first["ageSeconds"] < 600  # whatever the records say of themselves
    assert source.fetched == ["/PyPI/all.zip", "/PyPI/all.zip", "/npm/all.zip"]

    source.fetched.clear()
    assert "unchanged, and so current again" in vulndb(data_dir, "update", OPENECR_VULNDB_URL=source.url)
    second = status(data_dir)
    assert source.fetched == []
    assert second["generation"] > first["generation"]
    assert second["builtAt"] >= first["builtAt"]
    assert second["inputs"] == first["inputs"]

    mirror(exports, PyPI=[FLASK, record("GHSA-3", "django")])
    assert "fetched 1, unchanged 1" in vulndb(data_dir, "update", OPENECR_VULNDB_URL=source.url)
    assert source.fetched == ["/PyPI/all.zip"]
    assert status(data_dir)["ecosystems"] == {"PyPI": 2, "npm": 1}


def test_an_update_that_lacks_what_was_there_changes_nothing(data_dir: Path, exports: Path, source: Exports) -> None:
    vulndb(data_dir, "update", OPENECR_VULNDB_URL=source.url)
    before = status(data_dir)
    shutil.rmtree(exports / "npm")

    told = vulndb(data_dir, "update", OPENECR_VULNDB_URL=source.url, fails=True)

    assert f"{source.url}/npm/all.zip is not there (404); the data in use stays" in told
    assert status(data_dir)["generation"] == before["generation"]
    assert status(data_dir)["ecosystems"] == {"PyPI": 1, "npm": 1}


def test_only_chosen_ecosystems_are_fetched_and_all_of_them_must_be_there(data_dir: Path, source: Exports) -> None:
    choice: dict[str, Any] = {"OPENECR_VULNDB_URL": source.url, "OPENECR_VULNDB_ECOSYSTEMS": "PyPI"}
    vulndb(data_dir, "update", **choice)
    assert status(data_dir)["ecosystems"] == {"PyPI": 1}
    assert source.fetched == ["/PyPI/all.zip"]

    choice["OPENECR_VULNDB_ECOSYSTEMS"] = "PyPI,Debian"
    assert "/Debian/all.zip is not there" in vulndb(data_dir, "update", **choice, fails=True)
    choice["OPENECR_VULNDB_ECOSYSTEMS"] = "pypi"
    assert "vulndb_ecosystems has 'pypi'" in vulndb(data_dir, "update", **choice, fails=True)
    choice["OPENECR_VULNDB_ECOSYSTEMS"] = "Debian:12"
    assert "give ecosystems without a release" in vulndb(data_dir, "update", **choice, fails=True)


def test_scores_are_fetched_where_an_address_is_set(data_dir: Path, exports: Path, source: Exports) -> None:
    (exports / "epss.csv").write_text("cve,epss,percentile\nCVE-2026-1000,0.5,0.9\n")
    (exports / "kev.json").write_text(json.dumps({"vulnerabilities": [{"cveID": "CVE-2026-1000"}]}))
    addresses: dict[str, Any] = {
        "OPENECR_VULNDB_URL": source.url,
        "OPENECR_VULNDB_EPSS_URL": f"{source.url}/epss.csv",
        "OPENECR_VULNDB_KEV_URL": f"{source.url}/kev.json",
    }
    vulndb(data_dir, "update", **addresses)

    told = status(data_dir)
    index = open_index(vulnerability_data_path(data_dir) / f"{told['generation']}.index")
    details = index.details(("GHSA-1",))["GHSA-1"]
    index.close()
    assert (details.epss, details.exploited) == (0.5, True)


def test_a_source_that_has_nothing_is_told(data_dir: Path, source: Exports) -> None:
    told = vulndb(data_dir, "update", OPENECR_VULNDB_URL=f"{source.url}/nowhere", fails=True)
    assert "there is no vulnerability data at" in told
    assert "must be http(s)://" in vulndb(data_dir, "update", OPENECR_VULNDB_URL="ftp://x", fails=True)


def test_two_updates_at_once_are_one(data_dir: Path, exports: Path) -> None:
    folder = vulnerability_data_path(data_dir)
    folder.mkdir(exist_ok=True)
    with (folder / "update.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "another update" in vulndb(data_dir, "import", str(exports), fails=True)
