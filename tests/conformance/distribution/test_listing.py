"""Lists of tags and of repositories."""

from urllib.parse import quote

import pytest
from tests.conformance.distribution.requests import (
    next_page,
    pages,
)
from tests.places import ON_EVERY_PLACE
from tests.registry_client import (
    RegistryClient,
    digest_of,
    image_manifest,
)
from tests.running import OTHER_ACCOUNT, Server

pytestmark = ON_EVERY_PLACE


class TestTags:
    """Specification: "Listing tags"."""

    @pytest.fixture
    def tagged(self, client: RegistryClient, name: str) -> str:
        """A repository with the tags t00 to t24."""
        client.push_blob(name, b"{}")
        manifest = image_manifest(b"{}")
        tags = "&".join(f"tag=t{number:02}" for number in range(25))
        assert client.push_manifest(name, f"{digest_of(manifest)}?{tags}", manifest).status == 201
        return name

    def listed(self, client: RegistryClient, path: str) -> list[str]:
        answer = client.request("GET", path)
        assert answer.status == 200, answer
        found: list[str] = answer.json["tags"]
        return found

    def test_tags_are_listed_in_byte_order(self, client: RegistryClient, name: str) -> None:
        client.push_blob(name, b"{}")
        manifest = image_manifest(b"{}")
        tags = ["b", "a", "B", "_x", "1", "10", "2", "a.b", "a-b", "a_b"]
        query = "&".join(f"tag={tag}" for tag in tags)
        assert client.push_manifest(name, f"{digest_of(manifest)}?{query}", manifest).status == 201
        answer = client.request("GET", f"/v2/{name}/tags/list")
        assert answer.json == {"name": name, "tags": sorted(tags)}
        assert answer.headers["content-type"] == "application/json; charset=utf-8"

    @pytest.mark.parametrize("most", [1, 7, 24, 25])
    def test_pages_hold_every_tag_once(self, client: RegistryClient, tagged: str, most: int) -> None:
        found = pages(client, f"/v2/{tagged}/tags/list?n={most}")
        assert [tag for page in found for tag in page.json["tags"]] == [f"t{number:02}" for number in range(25)]
        assert len(found) == -(-25 // most)
        assert all(len(page.json["tags"]) <= most for page in found)

    def test_a_page_of_none_is_empty_and_links_nowhere(self, client: RegistryClient, tagged: str) -> None:
        answer = client.request("GET", f"/v2/{tagged}/tags/list?n=0")
        assert (answer.status, answer.json["tags"], next_page(answer)) == (200, [], None)

    def test_the_largest_page_is_a_thousand(self, client: RegistryClient, tagged: str) -> None:
        assert len(self.listed(client, f"/v2/{tagged}/tags/list?n=1000")) == 25

    @pytest.mark.parametrize("most", ["1001", "2147483648", "9223372036854775808", "9" * 12])
    def test_more_than_a_thousand_are_refused_as_ecr_does(self, client: RegistryClient, tagged: str, most: str) -> None:
        for path in (f"/v2/{tagged}/tags/list", "/v2/_catalog"):
            status, code, message = client.request("GET", f"{path}?n={most}").error
            assert (status, code) == (405, "UNSUPPORTED")
            assert message == (
                "Invalid parameter at 'maxResults' failed to satisfy constraint: "
                "'Member must have value less than or equal to 1000'"
            )

    @pytest.mark.parametrize("most", ["abc", "-1", "1.5", "", "%D9%A1", "0x10", "1e3", "+5", " 5"])
    def test_a_page_size_that_is_no_count_is_refused(self, client: RegistryClient, tagged: str, most: str) -> None:
        for path in (f"/v2/{tagged}/tags/list", "/v2/_catalog"):
            assert client.request("GET", f"{path}?n={quote(most, safe='%')}").status == 405

    @pytest.mark.parametrize(
        ("last", "expected"),
        [("t22", ["t23", "t24"]), ("t22z", ["t23", "t24"]), ("t24", []), ("zzz", []), ("", None), ("t", None)],
    )
    def test_a_listing_goes_on_after_a_tag_that_need_not_exist(
        self, client: RegistryClient, tagged: str, last: str, expected: list[str] | None
    ) -> None:
        every = [f"t{number:02}" for number in range(25)]
        assert self.listed(client, f"/v2/{tagged}/tags/list?last={last}") == (every if expected is None else expected)

    def test_a_hundred_tags_are_a_page_by_default(self, client: RegistryClient, name: str) -> None:
        client.push_blob(name, b"{}")
        for group in range(3):
            manifest = image_manifest(b"{}", annotations={"group": str(group)})
            tags = "&".join(f"tag=g{group}-{number:02}" for number in range(50))
            assert client.push_manifest(name, f"{digest_of(manifest)}?{tags}", manifest).status == 201
        found = pages(client, f"/v2/{name}/tags/list")
        assert [len(page.json["tags"]) for page in found] == [100, 50]

    def test_an_empty_repository_has_no_tags(self, client: RegistryClient, name: str) -> None:
        assert client.request("GET", f"/v2/{name}/tags/list").json == {"name": name, "tags": []}

    def test_head_tells_what_get_would(self, client: RegistryClient, tagged: str) -> None:
        got = client.request("GET", f"/v2/{tagged}/tags/list")
        head = client.request("HEAD", f"/v2/{tagged}/tags/list")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == str(len(got.body))


class TestCatalog:
    def test_the_catalog_holds_every_repository_once_in_order(
        self, client: RegistryClient, name: str, other_name: str
    ) -> None:
        found = pages(client, "/v2/_catalog?n=1000")
        listed = [item for page in found for item in page.json["repositories"]]
        assert {name, other_name} <= set(listed)
        assert listed == sorted(set(listed))
        for most in (1, 3):
            small = pages(client, f"/v2/_catalog?n={most}&last={listed[-8]}")
            assert [item for page in small for item in page.json["repositories"]] == listed[-7:]

    def test_the_catalog_of_another_registry_pages_within_it(self, server: Server) -> None:
        theirs = server.client("ecr", OTHER_ACCOUNT)
        names = [f"theirs/of-the-catalog-{number}" for number in range(3)]
        for each in names:
            theirs.create_repository(repositoryName=each)
        client = RegistryClient(server.port, server.password(OTHER_ACCOUNT))
        found = pages(client, f"/v2/{OTHER_ACCOUNT}.us-east-1/_catalog?n=1&last=theirs/of-the")
        listed = [item for page in found for item in page.json["repositories"]]
        assert listed[:3] == names
