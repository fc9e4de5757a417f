"""Texts that are read line by line or word by word in Python, which costs far more for each byte than a parser in C."""

from openecr.scan.cataloger import WantedFile

_MOST_BYTES = 8 << 20
_MOST_LINES = 500_000


def plain_text(file: WantedFile) -> str:
    """The whole file.

    Raises:
        ValueError: it is larger, or of more lines, than any that a tool writes.
    """
    if file.size_bytes > _MOST_BYTES:
        raise ValueError(f"larger than {_MOST_BYTES} bytes")
    content = file.text()
    if content.count(b"\n") > _MOST_LINES:
        raise ValueError(f"holds more than {_MOST_LINES} lines")
    return content.decode("utf-8-sig", "replace")
