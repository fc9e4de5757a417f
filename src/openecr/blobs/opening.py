"""Which stores a deployment's layers are in, and how they are opened: one line a kind."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from openecr.blobs.disk import Disk
from openecr.blobs.filesystem import FilesystemStore
from openecr.blobs.regions import RegionStores
from openecr.blobs.s3 import S3Store
from openecr.blobs.s3_location import parse
from openecr.blobs.store import STORE_NAME, BlobStore
from openecr.data_dir import blobs_path
from openecr.settings import Settings, SettingsError, without_secrets


def open_stores(settings: Settings, *, connected: bool = False) -> RegionStores:
    """The stores of a deployment; nothing is asked of them yet, ``check`` does that.

    Args:
        connected: read credentials now, as a server does; commands that need no layers need no credentials either.

    Raises:
        SettingsError: one sentence with the remedy.
    """
    by_name = {name: _open(url, connected=connected) for name, url in region_locations(settings).items()}
    if settings.blobs is None:
        return RegionStores(FilesystemStore(blobs_path(settings.data_dir)), by_name)
    return RegionStores(_open(settings.blobs, connected=connected), by_name)


def region_locations(settings: Settings) -> dict[str, str]:
    """URLs by store name, in the order given."""
    found: dict[str, str] = {}
    for text in settings.region_blobs:
        name, _, url = text.partition("=")
        if STORE_NAME.fullmatch(name) is None or not url:
            raise SettingsError(
                f"'{without_secrets(text)}' names no region's store; write it like eu-west-1=s3://bucket/prefix"
            )
        if name in found:
            raise SettingsError(f"there are two stores {name}; call the newer one {name}_2")
        found[name] = url
    return found


def locations(settings: Settings) -> dict[str, str]:
    """Where layers are, for people: by region's store, the others under ``default``; without parameters."""
    default = settings.blobs or f"file://{blobs_path(settings.data_dir)}"
    return {name: url.partition("?")[0] for name, url in {"default": default, **region_locations(settings)}.items()}


def default_folder(settings: Settings) -> Path | None:
    """The folder of the store of all regions without their own; None where it is no folder."""
    if settings.blobs is None:
        return blobs_path(settings.data_dir)
    return _folder(settings.blobs) if settings.blobs.startswith("file:///") else None


def disk_of(settings: Settings) -> Disk | None:
    """The file system under the layers; None where the store has no end to guard, or nothing is to be kept free."""
    folder = default_folder(settings)
    if folder is None or settings.disk_reserve_bytes == 0:
        return None
    return Disk(folder, settings.disk_reserve_bytes)


def _open(url: str, *, connected: bool) -> BlobStore:
    if url.startswith("s3://"):
        store = S3Store(parse(url))
        return store.connect() if connected else store
    if url.startswith("file:///"):
        return FilesystemStore(_folder(url))
    raise SettingsError(f"'{without_secrets(url)}' is no place for layers; give s3://bucket/prefix or file:///folder")


def _folder(url: str) -> Path:
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        raise SettingsError(f"'{url}' takes no parameters; write it like file:///folder")
    return Path(unquote(parts.path))
