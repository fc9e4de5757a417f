"""``--clock``: one stored offset, only where the data directory was created with one."""

import time
from pathlib import Path

from tests.running import free_port, openecr, running


def test_shifted_clock_shows_in_answers_and_outlives_the_flag(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "1", "--clock", "+181d") as server:
        made = server.client("ecr").create_repository(repositoryName="later")["repository"]["createdAt"].timestamp()
        assert 180 < (made - time.time()) / 86_400 < 182
    with running(tmp_path, "--workers", "1") as server:
        made = server.client("ecr").create_repository(repositoryName="still")["repository"]["createdAt"].timestamp()
        assert 180 < (made - time.time()) / 86_400 < 182
    with running(tmp_path, "--workers", "1", "--clock", "+200d") as server:
        made = server.client("ecr").create_repository(repositoryName="more")["repository"]["createdAt"].timestamp()
        assert 199 < (made - time.time()) / 86_400 < 201


def test_ordinary_data_directory_refuses_a_clock(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "1"):
        pass
    refused = openecr(
        "serve", "--data-dir", str(tmp_path), "--port", str(free_port()), "--clock", "+1d", check=False, timeout=60
    )
    assert refused.returncode == 2
    assert "--clock works only on a data directory that was created with it" in refused.stderr


def test_refused_clock_leaves_nothing_behind(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    refused = openecr("serve", "--data-dir", str(data_dir), "--clock", "tomorrow", check=False, timeout=60)
    assert refused.returncode == 2
    assert "write it like +181d" in refused.stderr
    assert not data_dir.exists()
