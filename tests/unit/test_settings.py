"""Settings: where they come from, in which order, and what is refused."""

from pathlib import Path

import pytest

from openecr.processes.startup import Startup
from openecr.settings import Settings, SettingsError, load


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "openecr.toml"
    file.write_text('port = 1111\nregion = "eu-west-1"\nworkers = 7\n')
    found = load({"port": 3333, "host": None}, {"OPENECR_PORT": "2222", "OPENECR_REGION": "eu-north-1"}, file)
    assert (found.port, found.region, found.workers, found.host) == (3333, "eu-north-1", 7, None)


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("OPENECR_TLS", "yes", "tls", True),
        ("OPENECR_ACCESS_LOG", "off", "access_log", False),
        ("OPENECR_DATA_DIR", "/srv/openecr", "data_dir", Path("/srv/openecr")),
        ("OPENECR_TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8", "trusted_proxies", ("10.0.0.0/8", "fd00::/8")),
        ("OPENECR_UPLOAD_EXPIRY_SECONDS", "60", "upload_expiry_seconds", 60),
    ],
)
def test_texts_of_the_environment_take_their_types(variable: str, text: str, field: str, value: object) -> None:
    assert getattr(load({}, {variable: text}), field) == value


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"port": 0}, "port 0 is not a TCP port"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"port": "many"}, "port cannot be 'many'"),
        ({"tls_cert": Path("a.pem")}, "belong together"),
        ({"tls": True, "tls_cert": Path("a"), "tls_key": Path("b")}, "leave it out"),
        ({"account_id": "12345"}, "is not 12 digits"),
        ({"url": "registry.example.com"}, "must be http(s)://host"),
        ({"url": "https://registry.example.com/path"}, "without a path"),
        ({"trusted_proxies": ("10.0.0.0/33",)}, "is no network"),
        ({"colour": "blue"}, "unknown setting 'colour'"),
    ],
)
def test_setting_that_cannot_work_is_refused_with_its_remedy(flags: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(flags, {})
    assert told in str(refused.value)


def test_unknown_variable_with_our_prefix_is_refused() -> None:
    with pytest.raises(SettingsError, match="unknown setting 'prot'"):
        load({}, {"OPENECR_PROT": "5050", "PATH": "/bin"})


def test_unreadable_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read the settings file"):
        load({}, {}, tmp_path / "none.toml")


def test_children_get_exactly_the_parents_settings() -> None:
    settings = Settings(
        data_dir=Path("/data"),
        tls_cert=Path("/c.pem"),
        tls_key=Path("/k.pem"),
        url="https://registry.example.com",
        trusted_proxies=("10.0.0.0/8",),
        clock="+1d",
    )
    sent = Startup(settings, "https://registry.example.com", "json", 42, (3, 4), Path("/c.pem"), Path("/k.pem"))
    assert Startup.from_line(sent.to_line()) == sent
    plain = Startup(Settings(data_dir=Path("/data")), "http://localhost:5050", "text", 42)
    assert Startup.from_line(plain.to_line()) == plain
