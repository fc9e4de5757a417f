"""A running hash that a worker kept is used for the bytes it is of, and for no others."""

import hashlib

from openecr.services.ecr.upload_parts import _Hashers


def test_a_hash_goes_on_where_the_upload_has_the_bytes_that_it_is_of() -> None:
    kept = _Hashers()
    kept.keep("object", 3, hashlib.sha256(b"one"))
    state = kept.take("object", 3, hashlib.sha256(b"one").digest())
    assert state is not None
    state.update(b"two")
    assert state.digest() == hashlib.sha256(b"onetwo").digest()


def test_a_hash_of_bytes_that_another_worker_took_back_and_wrote_anew_is_not_used() -> None:
    """Else a layer would get a digest that its stored bytes do not have."""
    kept = _Hashers()
    kept.keep("object", 3, hashlib.sha256(b"old"))
    assert kept.take("object", 3, hashlib.sha256(b"new").digest()) is None


def test_a_hash_is_not_used_where_nobody_knows_what_the_bytes_are() -> None:
    kept = _Hashers()
    kept.keep("object", 3, hashlib.sha256(b"old"))
    assert kept.take("object", 3, None) is None
