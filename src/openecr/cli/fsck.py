"""``openecr fsck``: do metadata and layers agree, and are the bytes what they were?"""

import asyncio
from contextlib import aclosing
from typing import Annotated

import orjson
import typer

from openecr import data_dir as directories
from openecr.cli import options, progress
from openecr.composition import composed
from openecr.db import integrity
from openecr.services.ecr.integrity.findings import Finding
from openecr.services.ecr.integrity.fsck import Pass, StoreAbsent, let_go
from openecr.settings import Settings


def fsck(
    quick: Annotated[
        bool, typer.Option("--quick", help="Do not read the layers: only see that they are there.")
    ] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Put right what can be.")] = False,
    let_quarantined_go: Annotated[
        bool,
        typer.Option(
            "--drop-healed", help="First leave the damaged bytes of layers that were healed to the next collection."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: options.DataDir = None,
    config: options.ConfigFile = None,
) -> None:
    """Check metadata and layers against each other; the server may run meanwhile. Exits with 1 where it finds anything.

    A layer whose bytes are damaged or gone is quarantined: clients are told that it is not there, so that the next push
    uploads it again, and every image that names it works again.
    """
    settings = options.settings(config, data_dir=data_dir)
    directories.require(settings)
    try:
        found = asyncio.run(_check(settings, quick, repair, let_quarantined_go, as_json))
    except StoreAbsent as absent:
        raise options.CommandFailed(str(absent)) from None
    if any(not finding.repaired for finding in found):
        raise typer.Exit(1)


async def _check(settings: Settings, quick: bool, repairs: bool, drops: bool, as_json: bool) -> list[Finding]:
    found: list[Finding] = []
    async with composed(settings) as deployment:
        if drops:
            count = await let_go(deployment)
            if not as_json:
                print(f"left {count} damaged layers to the next collection")
        total_bytes = await deployment.database.read(integrity.total_bytes)
        with progress.bar("checking", total_bytes) as bar:
            checking = Pass(deployment, quick, repairs, on_blob=lambda blob: bar.advance(blob.size_bytes))
            async with aclosing(checking.run()) as findings:
                async for finding in findings:
                    found.append(finding)
                    if not as_json:
                        _print(finding)
    counted = {"blobs": checking.blobs, "size_bytes": checking.size_bytes, "images": checking.images}
    if as_json:
        document = {"checked": counted | {"hashed": not quick}, "findings": [item.as_document() for item in found]}
        print(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
    else:
        read = "looked for" if quick else "read"
        repaired = sum(item.repaired for item in found)
        print(f"checked {checking.images} images; {read} {checking.size_bytes} bytes of {checking.blobs} layers")
        print(f"{len(found)} findings, {repaired} repaired" if found else "everything agrees")
    return found


def _print(finding: Finding) -> None:
    state = "repaired" if finding.repaired else finding.remedy
    print(f"{finding.kind}: {finding.where}: {finding.what}\n  {state}")
