"""Where data may lie."""

import os
from pathlib import Path

import pytest

from openecr import data_dir
from openecr.settings import Settings, SettingsError

MOUNTS = """\
22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:30 / /proc rw - proc proc rw
40 22 0:40 / /mnt/share rw - nfs4 host:/export rw
41 40 259:2 / /mnt/share/local rw - xfs /dev/sdb rw
42 22 0:42 / /mnt/with\\040space rw - fuse.sshfs host: rw
43 22 0:43 / /over rw - ext4 /dev/sdc rw
44 43 0:44 / /over rw master:1 - virtiofs share rw
45 22 0:45 / /layer rw - overlay overlay rw
46 22 0:46 / /disk rw - fuseblk /dev/sdd rw
47 22 0:47 / /rootless rw - fuse.fuse-overlayfs fuse-overlayfs rw
48 22 0:48 / /mac rw - fuse.grpcfuse grpcfuse rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/openecr", None),
        ("/mnt/share/openecr", "nfs4"),
        ("/mnt/share", "nfs4"),
        ("/mnt/shared", None),
        ("/mnt/share/local/openecr", None),
        ("/mnt/with space/openecr", "fuse.sshfs"),
        ("/over/openecr", "virtiofs"),
        ("/layer/openecr", None),
        ("/disk/openecr", None),
        ("/rootless/openecr", None),
        ("/mac/openecr", "fuse.grpcfuse"),
    ],
)
def test_file_system_is_the_longest_mounts(path: str, kind: str | None) -> None:
    assert data_dir.unsafe_file_system(Path(path), MOUNTS) == kind


def test_shared_folder_is_refused_with_the_remedy(tmp_path: Path) -> None:
    mounts = f"50 22 0:50 / {tmp_path.resolve()} rw - 9p share rw\n"
    with pytest.raises(SettingsError) as refused:
        data_dir.create(tmp_path / "data", mounts)
    assert "is on 9p, a network or shared-folder file system" in str(refused.value)
    assert "--data-dir" in str(refused.value)


def test_new_directory_is_its_owners_alone(tmp_path: Path) -> None:
    data_dir.create(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(SettingsError, match="--data-dir"):
            data_dir.create(path)


def test_directory_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(SettingsError, match=r"cannot write to the data directory .*make it writable"):
        data_dir.create(tmp_path)


def test_directory_without_a_registry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"there is no registry in .*openecr serve"):
        data_dir.require(Settings(data_dir=tmp_path))
