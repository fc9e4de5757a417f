"""Ruby: specifications of installed gems, and Bundler's lock files."""

import pytest
from tests.unit.scan.cataloging import facts, found

from openecr.scan.catalogers.ruby import BUNDLER_LOCK, GEM_INSTALLED

GEM = "usr/local/bundle/specifications/rack-2.2.22.gemspec"
SPECIFICATION = """# -*- encoding: utf-8 -*-
# stub: rack 2.2.22 ruby lib

Gem::Specification.new do |s|
  s.name = "rack".freeze
  s.version = "2.2.22"

  s.required_rubygems_version = Gem::Requirement.new(">= 0".freeze) if s.respond_to? :required_rubygems_version=
  s.require_paths = ["lib".freeze]
  s.description = "A gem.\\n  s.version = \\"9.9\\"\\n".freeze
  s.licenses = ["MIT".freeze, "Ruby".freeze]
  s.rubygems_version = "3.3.15".freeze
  s.add_runtime_dependency(%q<rake>.freeze, ["~> 13.0"])
end
"""
LOCK = """GIT
  remote: https://git.example/x.git
  revision: abc
  specs:
    from-git (1.0.0)
      rack (>= 2)

PATH
  remote: .
  specs:
    demo (0.1.0)

GEM
  remote: https://gems.example/
  specs:
    actionpack (6.1.7.10)
      rack (~> 2.0, >= 2.0.9)
    nokogiri (1.15.4-x86_64-linux-gnu)
      racc (~> 1.4)
    nokogiri (1.15.4-java)
    rack (2.2.22)
    rails (7.1.0.beta1)

PLATFORMS
  x86_64-linux

DEPENDENCIES
  demo!
  rack (= 2.2.22)

CHECKSUMS
    rack (2.2.22) sha256=abc

BUNDLED WITH
   2.3.15
"""


class TestInstalled:
    @pytest.mark.parametrize(
        ("path", "content", "packages"),
        [
            (GEM, SPECIFICATION, ["rack 2.2.22"]),
            ("usr/lib/ruby/gems/3.1.0/specifications/default/json-2.6.1.gemspec", SPECIFICATION, ["rack 2.2.22"]),
            (GEM, "# stub: nokogiri 1.15.4 x86_64-linux-gnu lib\n", ["nokogiri 1.15.4"]),
            (
                GEM,
                "Gem::Specification.new do |spec|\n  spec.name = 'a_b'\n  spec.version = '1.0.rc1'\n",
                ["a_b 1.0.rc1"],
            ),
            (GEM, 's.name = "old"\ns.version = Gem::Version.new("0.9")\n', ["old 0.9"]),
            (GEM, "s.name = NAME\ns.version = VERSION\n", []),
            (GEM, b"\xff\xfe\x00", []),
            ("usr/local/bundle/gems/rack-2.2.22/rack.gemspec", SPECIFICATION, []),
        ],
        ids=["installed", "default", "by its stub", "single quotes", "old", "code", "bytes", "source"],
    )
    def test_specifications_are_read_as_text(self, path: str, content: str | bytes, packages: list[str]) -> None:
        assert found(GEM_INSTALLED, path, content) == packages

    def test_licences(self) -> None:
        (package,) = facts(GEM_INSTALLED, GEM, SPECIFICATION).packages
        assert package.licenses == ("MIT", "Ruby")
        assert (package.ecosystem, package.declared) == ("RubyGems", False)

    @pytest.mark.parametrize("line", ["s.name = ", " " * 100, '["', "\n"])
    def test_endless_files_are_read_in_bounds(self, line: str) -> None:
        assert found(GEM_INSTALLED, GEM, line * ((4 << 20) // len(line))) == []


class TestBundler:
    @pytest.mark.parametrize("path", ["srv/Gemfile.lock", "srv/gems.locked"])
    def test_gems_from_servers_are_declared_without_platforms(self, path: str) -> None:
        assert found(BUNDLER_LOCK, path, LOCK) == [
            "actionpack 6.1.7.10",
            "nokogiri 1.15.4",
            "rack 2.2.22",
            "rails 7.1.0.beta1",
        ]

    def test_lines_end_as_windows_has_them_too(self) -> None:
        assert len(found(BUNDLER_LOCK, "Gemfile.lock", LOCK.replace("\n", "\r\n"))) == 4

    def test_long_lines_are_none(self) -> None:
        assert found(BUNDLER_LOCK, "Gemfile.lock", "GEM\n    " + "a" * 1_000_000 + " (" + "1" * 1_000_000) == []
