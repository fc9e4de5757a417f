"""``openecr serve``: run the registry."""

import asyncio
import datetime
import os
import re
import shlex
import time
from pathlib import Path
from typing import Annotated

import typer

from openecr import logs, tls
from openecr.cli import options
from openecr.names import REGION
from openecr.processes import address
from openecr.processes.prepare import Prepared, prepare
from openecr.processes.startup import Startup
from openecr.processes.supervisor import Supervisor
from openecr.settings import Settings, SettingsError

_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)


def serve(
    data_dir: options.DataDir = None,
    database: Annotated[
        str | None, typer.Option(help="postgresql://user@host/name; SQLite in the data directory without it.")
    ] = None,
    blobs: Annotated[
        str | None,
        typer.Option(help="Where layers are: s3://bucket/prefix?endpoint=...; the data directory without it."),
    ] = None,
    region_blobs: Annotated[
        list[str] | None, typer.Option(help="A region's own store: eu-west-1=s3://bucket/prefix; repeatable.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; loopback only without it.")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port.  [default: 5050]", show_default=False)] = None,
    workers: Annotated[int | None, typer.Option(help="Server processes.  [default: 2]", show_default=False)] = None,
    url: Annotated[str | None, typer.Option(help="The address that clients use, when another is in front.")] = None,
    domain: Annotated[str | None, typer.Option(help="Serve {account}.dkr.ecr.{region}.{domain} host names.")] = None,
    tls_on: Annotated[bool, typer.Option("--tls", help="Serve TLS with a certificate of openecr's own CA.")] = False,
    tls_cert: Annotated[Path | None, typer.Option(help="Serve TLS with this certificate chain (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The key of --tls-cert (PEM).")] = None,
    account_id: Annotated[str | None, typer.Option(help="Default account.  [default: 123456789012]")] = None,
    region: Annotated[str | None, typer.Option(help="Default region.  [default: us-east-1]")] = None,
    trusted_proxy: Annotated[
        list[str] | None, typer.Option(help="Network (CIDR) whose Host and X-Forwarded-* headers count; repeatable.")
    ] = None,
    metadata_listen: Annotated[
        list[str] | None, typer.Option(help="Address for nodes' credentials: 169.254.169.254:80; repeatable.")
    ] = None,
    vpc_listener: Annotated[
        list[str] | None, typer.Option(help="Further address to listen on, for a VPC declared with it; repeatable.")
    ] = None,
    encryption: Annotated[
        str | None, typer.Option(help="on, or storage: the disk encrypts, openecr does not.  [default: on]")
    ] = None,
    clock: Annotated[
        str | None, typer.Option(help="Shift the rules' clock (+181d), on a data directory created with it.")
    ] = None,
    config: options.ConfigFile = None,
    log_format: options.LogFormat = None,
) -> None:
    """Run the registry: on localhost:5050, with everything in one data directory, unless told otherwise."""
    settings = options.settings(
        config,
        data_dir=data_dir,
        database=database,
        blobs=blobs,
        region_blobs=tuple(region_blobs or ()),
        host=host,
        port=port,
        workers=workers,
        url=url,
        domain=domain,
        tls=tls_on,
        tls_cert=tls_cert,
        tls_key=tls_key,
        account_id=account_id,
        region=region,
        trusted_proxies=tuple(trusted_proxy or ()),
        metadata_listen=tuple(metadata_listen or ()),
        vpc_listeners=tuple(vpc_listener or ()),
        encryption=encryption,
        clock=clock,
    )
    chosen_format = options.log_format(log_format)
    logs.configure(chosen_format)
    asyncio.run(_serve(settings, chosen_format))


async def _serve(settings: Settings, log_format: str) -> None:
    _require_names(settings)
    prepared = await prepare(settings, os.environ)
    address.remove(settings.data_dir)  # one that a killed server left
    certificate = tls.prepare(settings, _now())
    base_url = address.base_url(settings)

    def announce() -> None:
        address.leave(
            settings.data_dir,
            address.RunningServer(
                url=base_url,
                pid=os.getpid(),
                started_us=time.time_ns() // 1000,
                account_id=settings.account_id,
                region=settings.region,
                workers=settings.workers,
                own_ca=str(certificate.own_ca) if certificate is not None and certificate.own_ca else None,
                stores=address.stores_of(settings),
            ),
        )
        print(_welcome(settings, prepared, base_url), flush=True)

    supervisor = Supervisor(
        Startup(settings, base_url, log_format, os.getpid()),
        prepared.lock,
        on_ready=announce,
        certificate=lambda: tls.prepare(settings, _now()),
    )
    try:
        await supervisor.run()
    finally:
        address.remove(settings.data_dir)


def _require_names(settings: Settings) -> None:
    """Refuse names that could stand in no certificate, host name or ARN."""
    if settings.domain is not None and _DOMAIN.fullmatch(settings.domain) is None:
        raise SettingsError(f"--domain '{settings.domain}' is no domain name; give one like ecr.example.com")
    if REGION.fullmatch(settings.region) is None:
        raise SettingsError(f"--region '{settings.region}' is no region's name; give one like us-east-1")


def _welcome(settings: Settings, prepared: Prepared, base_url: str) -> str:
    command = f"openecr env --data-dir {shlex.quote(str(settings.data_dir))}"
    lines = [
        f"openecr listens on {base_url}" + ("" if settings.host else " (this machine only)"),
        f"  data directory: {settings.data_dir}" + (" (new)" if prepared.is_new else ""),
        f"  account {settings.account_id}, region {settings.region}, {settings.workers} workers",
    ]
    if prepared.clock_offset_us:
        shift = datetime.timedelta(microseconds=prepared.clock_offset_us)
        lines.append(f"  the rules' clock is {shift} ahead")
    if settings.encryption == "storage":
        lines.append("  layers are not encrypted by openecr (encryption: storage), except under KMS keys")
    if not prepared.has_vulnerability_data:
        folder = shlex.quote(str(settings.data_dir))
        lines.append("  no vulnerability data, so that every scan fails; several hundred MB, and it is here:")
        lines.append(f"    openecr vulndb update --data-dir {folder}")
    lines += ["To use it in a shell:", f'  eval "$({command})"']
    return "\n".join(lines)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
