"""os-release and its elders."""

import pytest

from openecr.scan.distribution import distribution_of
from openecr.scan.packages import Distribution

OS_RELEASE = "etc/os-release"


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        (
            OS_RELEASE,
            (
                'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\n'
                'VERSION="12 (bookworm)"\nVERSION_CODENAME=bookworm\nID=debian\n'
            ),
            Distribution("debian", "12", "bookworm", "Debian GNU/Linux 12 (bookworm)"),
        ),
        (
            OS_RELEASE,
            "ID=ubuntu\nVERSION_ID='22.04'\nUBUNTU_CODENAME=jammy\nID_LIKE=debian\nNAME=Ubuntu\n",
            Distribution("ubuntu", "22.04", "jammy", "Ubuntu", ("debian",)),
        ),
        (
            OS_RELEASE,
            'PRETTY_NAME="Debian GNU/Linux trixie/sid"\nVERSION_CODENAME=trixie\nID=debian\n',
            Distribution("debian", "", "trixie", "Debian GNU/Linux trixie/sid"),
        ),
        (
            OS_RELEASE,
            'NAME="Rocky Linux"\nID="rocky"\nVERSION="9.3 (Blue Onyx)"\nID_LIKE="rhel centos"\nVERSION_ID="9.3"\n',
            Distribution("rocky", "9.3", "blue onyx", "Rocky Linux", ("rhel", "centos")),
        ),
        (
            "usr/lib/os-release",
            '# comment\n  ID = x\nID=wolfi # no\nID=wolfi\nPRETTY_NAME="A \\"quoted\\" \\$x"\n',
            Distribution("wolfi", "", "", 'A "quoted" $x'),
        ),
        (OS_RELEASE, "NAME=nothing\n", None),
        (OS_RELEASE, "", None),
        ("etc/alpine-release", "3.19.1\n", Distribution("alpine", "3.19.1", "", "Alpine Linux 3.19.1")),
        ("etc/alpine-release", "\n", None),
        ("etc/debian_version", "12.5\n", Distribution("debian", "12", "", "Debian GNU/Linux 12")),
        ("etc/debian_version", "trixie/sid\n", Distribution("debian", "", "trixie", "Debian GNU/Linux trixie/sid")),
        ("etc/debian_version", "", None),
        (
            "etc/centos-release",
            "CentOS release 6.10 (Final)\n",
            Distribution("centos", "6.10", "", "CentOS release 6.10 (Final)"),
        ),
        (
            "etc/redhat-release",
            "Red Hat Enterprise Linux Server release 7.9 (Maipo)\n",
            Distribution("rhel", "7.9", "", "Red Hat Enterprise Linux Server release 7.9 (Maipo)"),
        ),
        (
            "etc/system-release",
            "Amazon Linux AMI release 2018.03\n",
            Distribution("amzn", "2018.03", "", "Amazon Linux AMI release 2018.03"),
        ),
        ("etc/redhat-release", "Something release 1\n", None),
        ("etc/redhat-release", "x" * 60_000 + " release 1", None),
        (
            "etc/lsb-release",
            'DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=14.04\nDISTRIB_CODENAME=trusty\nDISTRIB_DESCRIPTION="Ubuntu 14.04"\n',
            Distribution("ubuntu", "14.04", "trusty", "Ubuntu 14.04"),
        ),
    ],
)
def test_each_kind_of_file(path: str, text: str, found: Distribution | None) -> None:
    assert distribution_of(path, text) == found
