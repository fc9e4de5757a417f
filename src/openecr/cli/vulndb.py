"""``openecr vulndb``: vulnerability data gets in, and what is told of it."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
import typer

from openecr import data_dir as directories
from openecr.cli import options, progress, tables
from openecr.cli.deployments import run
from openecr.cli.options import CommandFailed
from openecr.db.vulnerability_data import Published
from openecr.scan.vulndb.description import Description
from openecr.services.ecr.scanning import data_update
from openecr.services.ecr.scanning.data_update import Feeds, Outcome, UpdateRefused, Watcher
from openecr.services.ecr.scanning.vulnerability_data import DataDamaged
from openecr.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Vulnerability data: get it, import it, say how old it is.")
T = TypeVar("T")
_TOLD_UNREAD = 5
_TOLD_LOST = 10
_DAY_US = 86_400_000_000
Output = Annotated[
    Path | None,
    typer.Option("--output", metavar="FILE", help="Write the index here, and put nothing into use."),
]


@app.command("import")
def import_(
    places: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR|ZIP...",
            help="OSV records: its bulk exports (ECOSYSTEM/all.zip), a zip of them, or folders of JSON.",
        ),
    ],
    epss: Annotated[
        Path | None, typer.Option("--epss", metavar="FILE", help="EPSS's scores (CSV, or that in gzip).")
    ] = None,
    kev: Annotated[
        Path | None, typer.Option("--kev", metavar="FILE", help="CISA's catalogue of exploited vulnerabilities (JSON).")
    ] = None,
    output: Output = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Put exactly these records into use, in place of those of before; for sites without a way to the internet."""
    for place in [*places, *filter(None, (epss, kev))]:
        if not place.exists():
            raise typer.BadParameter(f"there is no {place}", param_hint="DIR|ZIP")
    settings = options.settings(config, data_dir=data_dir)
    _make(settings, output, lambda _folder, _watcher: Feeds(tuple(places), epss, kev))


@app.command("update")
def update(
    output: Output = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Fetch what changed of OSV's bulk exports, and put it into use; what is in use stays until then."""
    settings = options.settings(config, data_dir=data_dir)
    _make(
        settings,
        output,
        lambda folder, watcher: data_update.fetch(settings, folder, os.environ, _now_us(), watcher),
    )


@app.command("status")
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Say how old the vulnerability data is, of what it has records, and on which terms they are used."""
    settings = options.settings(config, data_dir=data_dir)
    published = run(settings, data_update.in_use)
    known = data_update.description_of(published)
    if as_json:
        print(orjson.dumps(_document(published, known), option=orjson.OPT_INDENT_2).decode())
    elif published is None:
        print("there is no vulnerability data: every scan fails; get it with: openecr vulndb update")
    elif known is None:
        print("the vulnerability data is of another openecr; make it anew with: openecr vulndb update")
    else:
        _tell(published, known, settings)


def _make(settings: Settings, output: Path | None, feeds_of: Callable[[Path, Watcher], Feeds]) -> None:
    """Build, and put into use unless it is only to be written somewhere."""
    before = None
    if output is None:
        before = run(settings, data_update.in_use)
    else:
        directories.create(settings.data_dir)
    try:
        with data_update.working_folder(settings.data_dir) as folder, _shown() as watcher:
            feeds = feeds_of(folder, watcher)
            with data_update.built(feeds, folder, before, _now_us(), watcher) as outcome:
                if output is None:
                    run(settings, lambda deployment: data_update.settle(deployment, folder, outcome))
                else:
                    _write(outcome.built.path, output)
    except (UpdateRefused, DataDamaged) as refused:
        raise CommandFailed(str(refused)) from None
    if feeds.inputs:
        absent = f"; not there: {', '.join(feeds.absent)}" if feeds.absent else ""
        print(f"fetched {len(feeds.fetched)}, unchanged {len(feeds.unchanged)}{absent}")
    _tell_outcome(outcome, data_update.description_of(before), output)


def _write(made: Path, output: Path) -> None:
    """Whole or not at all."""
    beside = output.with_name(f"{output.name}.new")
    shutil.move(made, beside)
    os.replace(beside, output)


@contextmanager
def _shown() -> Iterator[Watcher]:
    """A bar for what happens at the moment."""
    with ExitStack() as open_bars:
        shown = _Shown(open_bars)
        yield Watcher(shown.download, shown.read, shown.write)


class _Shown:
    """One bar after another."""

    def __init__(self, open_bars: ExitStack) -> None:
        self._open_bars = open_bars
        self._about = ""
        self._bar: progress.Bar | None = None
        self._done = 0

    def download(self, name: str, done_bytes: int, total_bytes: int | None) -> None:
        bar = self._of(name)
        if total_bytes is not None:
            bar.expect(total_bytes)
        # A download that begins anew goes back.
        bar.advance(done_bytes - self._done)
        self._done = done_bytes

    def read(self, step_bytes: int, total_bytes: int) -> None:
        bar = self._of("reading records")
        bar.expect(total_bytes)
        bar.advance(step_bytes)

    def write(self) -> None:
        self._of("writing the index")

    def _of(self, about: str) -> progress.Bar:
        if self._bar is None or self._about != about:
            self._open_bars.close()
            self._bar = self._open_bars.enter_context(progress.bar(about))
            self._about, self._done = about, 0
        return self._bar


def _tell_outcome(outcome: Outcome, before: Description | None, output: Path | None) -> None:
    made = outcome.built.description
    verb = "unchanged, and so current again" if outcome.again else "in use"
    where = f"written to {output}" if output is not None else verb
    print(f"{where}: {_summary(made)}")
    for reason in outcome.read.reasons[:_TOLD_UNREAD]:
        print(f"not read: {reason}")
    if outcome.read.unread > _TOLD_UNREAD:
        print(f"and {outcome.read.unread - _TOLD_UNREAD} more")
    gone = data_update.lost(before, made)
    if gone:
        more = f" and {len(gone) - _TOLD_LOST} more" if len(gone) > _TOLD_LOST else ""
        print(f"no longer there: {', '.join(gone[:_TOLD_LOST])}{more}; images with their packages cannot be judged")


def _summary(known: Description) -> str:
    return (
        f"{known.records:,} records on packages of {len(known.ecosystems)} ecosystems and releases, "
        f"as of {_instant(known.data_us)}"
    )


def _tell(published: Published, known: Description, settings: Settings) -> None:
    print(_summary(known))
    if 0 < settings.vulndb_max_age_days * _DAY_US < _now_us() - known.data_us:
        print(f"older than the {settings.vulndb_max_age_days} days of vulndb_max_age_days: openecr vulndb update")
    print(f"{_age(known.data_us)} old; built {_instant(known.built_us)}, {published.size_bytes:,} bytes")
    print(f"{known.withdrawn:,} records are withdrawn, {known.unread:,} files were not read\n")
    ecosystems = tables.table("ecosystem", "records", numbers=True)
    for name, count in sorted(known.ecosystems.items()):
        ecosystems.add_row(name, f"{count:,}")
    tables.show(ecosystems)
    print()
    sources = tables.table("source", "records", "license", "where")
    for share in known.sources:
        sources.add_row(share.source, f"{share.records:,}" if share.records else "", share.license, share.url)
    tables.show(sources)


def _document(published: Published | None, known: Description | None) -> dict[str, Any]:
    if published is None:
        return {"generation": None}
    document: dict[str, Any] = {
        "generation": published.generation,
        "sizeBytes": published.size_bytes,
        "sha256": published.sha256.hex(),
    }
    if known is not None:
        told = known.document()
        document |= {
            "builtAt": _instant(told.pop("builtUs")),
            "dataAsOf": _instant(told.pop("dataUs")),
            "ageSeconds": max(0, (_now_us() - known.data_us) // 1_000_000),
            **told,
        }
    return document


def _age(instant_us: int) -> str:
    hours = max(0, _now_us() - instant_us) // 3_600_000_000
    return f"{hours // 24} days" if hours >= 48 else f"{hours} hours"


def _instant(instant_us: int) -> str:
    return datetime.fromtimestamp(instant_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _now_us() -> int:
    return time.time_ns() // 1000
