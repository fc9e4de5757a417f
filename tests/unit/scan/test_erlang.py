"""Erlang and Elixir: applications, mix.lock and rebar.lock."""

import pytest
from tests.scanned_files import read, versions

from openecr.scan.catalogers.erlang import ERLANG_APPLICATION, MIX_LOCK, REBAR_LOCK
from openecr.scan.catalogers.erlang_terms import terms

APPLICATION = """%% written by the compiler
{application,tesla,
             [{modules,['Elixir.Tesla','Elixir.Tesla.Env']},
              {optional_applications,[]},
              {applications,[kernel,stdlib,elixir,logger,mime]},
              {description,"HTTP \\"client\\" library, {vsn,\\"0.0.0\\"}"},
              {registered,[]},
              {env,[{timeout,5.5e3},{char,$a},{'quoted atom',-1},{bin,<<"x">>},{m,#{a => b}}]},
              {mod,{'Elixir.Tesla.Application',[]}},
              {vsn,"1.18.2"}]}.
"""


def test_an_application_that_is_installed() -> None:
    (package,) = read(ERLANG_APPLICATION, "app/lib/tesla-1.18.2/ebin/tesla.app", APPLICATION)
    assert (package.ecosystem, package.name, package.version) == ("Hex", "tesla", "1.18.2")
    assert (package.kind, package.declared) == ("erlang-application", False)


def test_erlangs_own_applications_are_none_of_hex() -> None:
    (package,) = read(ERLANG_APPLICATION, "usr/lib/erlang/lib/ssh-5.1/ebin/ssh.app", '{application,ssh,[{vsn,"5.1"}]}.')
    assert (package.ecosystem, package.name) == ("OTP", "ssh")


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("Applications/Mail.app", APPLICATION),
        ("src/tesla.app", APPLICATION),
        ("x/ebin/a.app", '{application, a, [{description, "x"}]}.'),
        ("x/ebin/a.app", "{application, a}."),
        ("x/ebin/a.app", ""),
        ("x/ebin/a.app", "{application, a, [{vsn, git}, {vsn, [1]}]}."),
    ],
)
def test_what_is_no_application_testifies_to_nothing(path: str, content: str) -> None:
    assert [package.version for package in read(ERLANG_APPLICATION, path, content)] in ([], ["git"])


MIX = """%{
  "bandit": {:hex, :bandit, "1.5.7", "6856b1", [:mix],
    [{:hpax, "~> 1.0", [hex: :hpax, repo: "hexpm", optional: false]}], "hexpm", "f2dd92"},
  "other_key": {:hex, :cowlib, "2.12.1", "a9fa9a", [:make, :rebar3], [], "hexpm", "163b73"},
  "old": {:hex, :decimal, "1.0.0", "abc", [:mix], []},
  "ours": {:hex, :ours, "0.1.0", "abc", [:mix], [], "hexpm:acme", "abc"},
  "forked": {:git, "https://git.example.com/forked.git", "0123abc", [branch: "main"]},
}
"""


def test_packages_of_the_public_repository_in_mix_lock() -> None:
    packages = read(MIX_LOCK, "app/mix.lock", MIX)
    assert versions(packages) == {"bandit": "1.5.7", "cowlib": "2.12.1", "decimal": "1.0.0"}
    assert {(package.ecosystem, package.kind, package.declared) for package in packages} == {("Hex", "mix-lock", True)}


REBAR = """{"1.2.0",
[{<<"cowboy">>,{pkg,<<"cowboy">>,<<"2.9.0">>},0},
 {<<"renamed">>,{pkg,<<"ranch">>,<<"1.8.0">>,<<"abc">>,<<"def">>},1},
 {<<"forked">>,{git,"https://git.example.com/forked.git",{ref,"0123abc"}},0}]}.
[
{pkg_hash,[
 {<<"cowboy">>, <<"865DD8B6607E14CF03282E10E934023A1BD8BE6F6BACF921A7E2A96D800CD452">>}]}
].
"""


@pytest.mark.parametrize("content", [REBAR, REBAR.partition("\n")[2].partition("}.\n")[0] + "."])
def test_packages_in_rebar_lock_with_and_without_its_version(content: str) -> None:
    packages = read(REBAR_LOCK, "app/rebar.lock", content)
    assert versions(packages) == {"cowboy": "2.9.0", "ranch": "1.8.0"}
    assert {package.kind for package in packages} == {"rebar-lock"}


@pytest.mark.parametrize(
    "content",
    ["{" * 100, "[" * 1_000_000, "{a", "}", '"never closed', "'never closed", "(1 + 1)", '{"a" <> "b"}', "\0", '"\\'],
)
def test_what_is_no_term_is_refused(content: str) -> None:
    with pytest.raises(ValueError):
        terms(content)


def test_nested_terms_and_escapes() -> None:
    assert terms('{a, "b\\"c", [d, <<"e">>], \'f g\', %{"h": :i, j => 1.5}}. % comment') == [
        ["a", 'b\\"c', ["d", ["e"]], "f g", ["h", "i", "j", "1.5"]]
    ]
