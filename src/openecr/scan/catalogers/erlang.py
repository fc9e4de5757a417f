"""Erlang and Elixir: applications as installed (``ebin/NAME.app``), mix.lock and rebar.lock."""

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.erlang_terms import Term, terms
from openecr.scan.catalogers.plain_text import plain_text
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.packages import FileFacts, Package

_PUBLIC = "hexpm"
"""The public repository, by its name in mix.lock; those of organisations are ``hexpm:NAME``."""
# fmt: off
_OTP = frozenset((
    "asn1", "common_test", "compiler", "crypto", "debugger", "dialyzer", "diameter", "edoc", "eex", "eldap",
    "elixir", "erl_docgen", "erl_interface", "erts", "et", "eunit", "ex_unit", "ftp", "iex", "inets", "jinterface",
    "kernel", "logger", "megaco", "mix", "mnesia", "observer", "odbc", "os_mon", "parsetools", "public_key",
    "reltool", "runtime_tools", "sasl", "snmp", "ssh", "ssl", "stdlib", "syntax_tools", "tftp", "tools", "wx",
    "xmerl",
))
# fmt: on
"""Applications of Erlang/OTP itself and of Elixir, which are versioned with them and are none of Hex's."""


def _read_application(file: WantedFile) -> FileFacts:
    """``{application, NAME, [{vsn, "VERSION"}, …]}.`` below ``ebin/``: of Hex's packages and Erlang's own alike.

    Source: Erlang/OTP, "app" (the application resource file).
    """
    if not f"/{file.path}".rpartition("/")[0].endswith("/ebin"):
        return FileFacts()
    for term in terms(plain_text(file)):
        match term:
            case ["application", str(name), [*properties]]:
                for each in properties:
                    match each:
                        case ["vsn", str(version)] if version:
                            ecosystem = "OTP" if name in _OTP else "Hex"
                            return testimony([Package(ecosystem, name, version, "erlang-application")], file.limits)
    return FileFacts()


def _read_mix(file: WantedFile) -> FileFacts:
    """``"key": {:hex, :name, "version", …}``: the package's name is the second atom; those from git are left out."""
    found: list[Package] = []
    for term in terms(plain_text(file)):
        for entry in term if isinstance(term, list) else []:
            match entry:
                case ["hex", str(name), str(version), *rest] if version and (len(rest) < 4 or rest[3] == _PUBLIC):
                    found.append(Package("Hex", name, version, "mix-lock", declared=True))
    return testimony(found, file.limits)


def _read_rebar(file: WantedFile) -> FileFacts:
    """``{<<"key">>, {pkg, <<"name">>, <<"version">>}, level}``, behind the format's version since version 1.1.0."""
    found: list[Package] = []
    for term in terms(plain_text(file)):
        for entry in _entries(term):
            match entry:
                case [_, ["pkg", [str(name)], [str(version)], *_], *_] if version:
                    found.append(Package("Hex", name, version, "rebar-lock", declared=True))
    return testimony(found, file.limits)


def _entries(term: Term) -> list[Term]:
    match term:
        case [str(), [*entries]]:
            return entries
        case [*entries]:
            return entries
    return []


ERLANG_APPLICATION = Cataloger("erlang-application", 1, _read_application, suffixes=(".app",))
MIX_LOCK = Cataloger("mix-lock", 1, _read_mix, names=("mix.lock",))
REBAR_LOCK = Cataloger("rebar-lock", 1, _read_rebar, names=("rebar.lock",))

CATALOGERS = (ERLANG_APPLICATION, MIX_LOCK, REBAR_LOCK)
