"""The listeners for nodes: one address each, answers that travel no further than they may."""

import socket
from contextlib import closing

import pytest
from tests.running import free_port

from openecr.processes import listeners
from openecr.settings import Settings, SettingsError, metadata_address


@pytest.mark.parametrize(("setting", "hops"), [({}, 1), ({"metadata_hop_limit": 3}, 3)])
def test_what_is_accepted_there_has_the_hop_limit(setting: dict[str, int], hops: int) -> None:
    spot = ("127.0.0.1", free_port())
    settings = Settings(port=free_port(), host="127.0.0.1", metadata_listen=(f"{spot[0]}:{spot[1]}",), **setting)  # type: ignore[arg-type]
    registry, metadata = listeners.bind(settings, 1)[0]
    with closing(registry), closing(metadata), closing(socket.create_connection(spot)):
        metadata.setblocking(True)
        accepted, _ = metadata.accept()
        with closing(accepted):
            assert metadata.getsockname() == spot
            assert accepted.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == hops
            assert registry.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) > hops


def test_an_address_that_the_machine_lacks_is_told_with_the_remedy() -> None:
    settings = Settings(port=free_port(), metadata_listen=("192.0.2.1:80",))

    with pytest.raises(SettingsError) as told:
        listeners.bind(settings, 1)

    assert str(told.value).startswith("cannot listen for nodes on 192.0.2.1 port 80 (")
    assert str(told.value).endswith("); give this machine the address first: ip address add 192.0.2.1 dev lo")


def test_a_port_that_is_taken_is_told() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        spot = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SettingsError, match="stop the program that has it, or choose another port"):
            listeners.require_free(Settings(port=free_port(), metadata_listen=(spot,)))


@pytest.mark.parametrize(
    ("text", "spot"),
    [("169.254.169.254:80", ("169.254.169.254", 80)), ("[fd00:ec2::254]:80", ("fd00:ec2::254", 80))],
)
def test_an_address_and_a_port_are_read(text: str, spot: tuple[str, int]) -> None:
    assert metadata_address(text) == spot


@pytest.mark.parametrize(
    "text", ["0.0.0.0:80", "[::]:80", "localhost:80", "127.0.0.1", ":80", "127.0.0.1:0", "127.0.0.1:x"]
)
def test_every_address_and_none_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="is not one address and a port; give it like"):
        Settings(metadata_listen=(text,))


def test_a_hop_limit_without_listeners_would_do_nothing() -> None:
    with pytest.raises(SettingsError, match="metadata_hop_limit does nothing without metadata_listen"):
        Settings(metadata_hop_limit=2)
    with pytest.raises(SettingsError, match="metadata_hop_limit is from 1 to 64"):
        Settings(metadata_hop_limit=0, metadata_listen=("127.0.0.1:80",))
