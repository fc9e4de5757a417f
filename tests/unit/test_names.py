"""Names: digests, repositories, tags, ARNs."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openecr.names import (
    Digest,
    RegistryName,
    is_image_tag,
    is_repository_name,
    parse_repository_arn,
    repository_arn,
)

MODEL_PATTERN = re.compile(r"^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$")
"""As the service model spells it, apart from its anchors."""
_name_like = st.text(alphabet="ab0._-/A", max_size=12) | st.from_regex(MODEL_PATTERN, fullmatch=True)


class TestDigest:
    @given(st.binary(max_size=100), st.sampled_from(["sha256", "sha512"]))
    def test_a_digest_survives_its_text(self, content: bytes, algorithm: str) -> None:
        digest = Digest.of(content, algorithm)
        assert Digest.parse(str(digest)) == digest
        assert digest.algorithm == algorithm
        assert Digest(digest.stored) == digest

    @given(st.text(max_size=150) | st.from_regex(r"(sha256|sha512|md5|SHA256):[0-9a-fA-F]{0,130}", fullmatch=True))
    def test_a_text_is_a_digest_only_in_its_one_spelling(self, text: str) -> None:
        digest = Digest.parse(text)
        expected = re.fullmatch(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", text)
        assert (digest is not None) == (expected is not None)
        assert digest is None or str(digest) == text

    def test_digests_of_two_algorithms_never_meet(self) -> None:
        assert Digest.of(b"x").stored[0] != Digest.of(b"x", "sha512").stored[0]


class TestRepositoryName:
    @given(_name_like)
    def test_a_name_is_one_that_the_model_takes(self, text: str) -> None:
        modelled = 2 <= len(text) <= 256 and MODEL_PATTERN.fullmatch(text) is not None and "\n" not in text
        assert is_repository_name(text) == modelled

    @pytest.mark.parametrize("text", ["ab", "a/b", "a__b", "a--b", "a.b/c-d/e_f", "00", "a" * 256])
    def test_taken(self, text: str) -> None:
        assert is_repository_name(text)

    @pytest.mark.parametrize(
        "text", ["", "a", "a..b", "a_-b", "a___b", "/ab", "ab/", "a//b", "Ab", "a b", "ab\n", "é", "a" * 257]
    )
    def test_refused(self, text: str) -> None:
        assert not is_repository_name(text)

    @pytest.mark.parametrize("text", ["123456789012.us-east-1/a", "public.ecr.aws/a", "public.ecr.aws"])
    def test_refused_because_it_would_mean_another_registry(self, text: str) -> None:
        assert not is_repository_name(text)

    @pytest.mark.parametrize("text", ["12345678901.us-east-1/a", "a/123456789012.us-east-1", "123456789012/a"])
    def test_taken_because_it_means_no_other_registry(self, text: str) -> None:
        assert is_repository_name(text)


class TestTag:
    @given(st.text(max_size=310))
    def test_a_tag_is_what_the_grammar_says(self, text: str) -> None:
        assert is_image_tag(text) == (re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,299}", text, re.ASCII) is not None)


class TestArn:
    @pytest.mark.parametrize("region", ["us-east-1", "cn-north-1", "us-gov-west-1", "ap-southeast-7"])
    @given(name=st.from_regex(MODEL_PATTERN, fullmatch=True).filter(is_repository_name))
    def test_an_arn_names_its_repository(self, region: str, name: str) -> None:
        registry = RegistryName("123456789012", region)
        assert parse_repository_arn(repository_arn(registry, name)) == (registry, name)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "arn:aws:ecr:us-east-1:123456789012:repository/",
            "arn:aws:ecr:us-east-1:123456789012:repository/UPPER",
            "arn:aws:ecr:us-east-1:12345678901:repository/ab",
            "arn:aws:ecr:cn-north-1:123456789012:repository/ab",
            "arn:aws-cn:ecr:us-east-1:123456789012:repository/ab",
            "arn:aws:s3:us-east-1:123456789012:repository/ab",
            "arn:aws:ecr:us-east-1:123456789012:repository/ab\n",
            "arn:aws:ecr:us-east-1:123456789012:repository/ab:x",
            " arn:aws:ecr:us-east-1:123456789012:repository/ab",
        ],
    )
    def test_a_text_that_is_no_repositorys_arn(self, text: str) -> None:
        assert parse_repository_arn(text) is None
