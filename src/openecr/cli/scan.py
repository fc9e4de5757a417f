"""``openecr scan``: judge a folder, a layout or an image without a server; for pipelines."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from openecr.cli import options, scan_output
from openecr.cli.gate import REFUSED, Most
from openecr.cli.options import CommandFailed
from openecr.cli.scan_reading import Development, Reading, What, told_failures, vulnerability_index
from openecr.names import RegistryName
from openecr.scan.advisories import Severity
from openecr.scan.vex import Statement, Statements
from openecr.scan.vex_documents import VexRefused, vex_statements
from openecr.scan_targets.judging import Report, judge
from openecr.services.ecr.scanning.gate_rules import Limits, refusals


def scan(
    target: What,
    vulndb: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Vulnerability data, as openecr vulndb import --output writes it.  [default: the deployment's]",
        ),
    ] = None,
    vex: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="VEX documents whose statements suppress findings.")
    ] = None,
    max_critical: Annotated[int, typer.Option(min=0, help="At most so many critical findings.")] = 0,
    max_high: Most = None,
    max_medium: Most = None,
    max_low: Most = None,
    accept_gaps: Annotated[
        bool, typer.Option(help="Pass what could not be judged in full, or was judged by data that is too old.")
    ] = False,
    development: Development = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_sarif: Annotated[bool, typer.Option("--sarif", help="Print SARIF 2.1.0.")] = False,
    account: options.Account = None,
    region: options.Region = None,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Find the vulnerabilities of a folder, a layout or an image, without a server. Exit status: 0 it passes, 3 it does
    not, or what it holds cannot be judged; 1 the scan failed; 2 it was called wrongly."""
    if as_json and as_sarif:
        raise typer.BadParameter("--json and --sarif exclude each other; give one")
    settings = options.settings(config, data_dir=data_dir)
    registry = RegistryName(account or settings.account_id, region or settings.region)
    given = {
        Severity.CRITICAL: max_critical,
        Severity.HIGH: max_high,
        Severity.MEDIUM: max_medium,
        Severity.LOW: max_low,
    }
    limits = Limits({key.name: most for key, most in given.items() if most is not None}, accepts_gaps=accept_gaps)
    statements = Statements(_statements(vex or ()))
    reading = Reading(settings, registry, target, development)
    with told_failures():
        report, left_out = asyncio.run(_judged(reading, vulndb, statements))
    reasons = refusals(report.scanned, limits)
    if as_json:
        document: Any = scan_output.document(target, report, reasons, left_out)
        print(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
    elif as_sarif:
        print(orjson.dumps(scan_output.sarif(report), option=orjson.OPT_INDENT_2).decode())
    else:
        scan_output.show(target, report, reasons, left_out)
    if reasons:
        raise typer.Exit(REFUSED)


async def _judged(reading: Reading, vulndb: Path | None, statements: Statements) -> tuple[Report, tuple[str, ...]]:
    """The report, and what a layout's index names and the layout does not hold."""
    async with (
        reading.deployment(needed=vulndb is None or reading.is_stored) as deployment,
        vulnerability_index(deployment, vulndb) as index,
    ):
        found = await reading.targets(deployment)
        now_us = time.time_ns() // 1000 if deployment is None else deployment.now_us()
        too_old_days = reading.settings.vulndb_max_age_days
        report = await judge(found.targets, index, statements, now_us=now_us, too_old_days=too_old_days)
    return report, found.left_out


def _statements(files: Sequence[Path]) -> Iterator[Statement]:
    for file in files:
        try:
            yield from vex_statements(file.read_bytes())
        except VexRefused as refused:
            raise CommandFailed(f"{file} is no VEX document: {refused}; give OpenVEX or CycloneDX, as JSON") from None
