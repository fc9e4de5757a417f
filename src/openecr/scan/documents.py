"""JSON, YAML, TOML and XML of files in images: parsed at a cost that is linear in their bytes, whatever they are."""

import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson
import yaml
from defusedxml.ElementTree import fromstring

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_MOST_VALUES = 4_000_000
_MOST_ELEMENTS = 1_000_000
_MOST_DEPTH = 200
_MOST_EVENTS = 1_000_000
_SLOW_BYTES = 8 << 20
"""Of YAML and TOML, whose parsers take a second for each few MB; real lock files stay below 5 MB."""
_MOST_DOTS = 4000
"""On a line of TOML: its parser takes time that is quadratic in the parts of a dotted key."""
_UTF8_MARK = b"\xef\xbb\xbf"


class DocumentRefused(ValueError):
    """The text is no document of its format, or a larger or deeper one than is read."""


def json_document(content: bytes, *, lenient: bool = False) -> Any:
    """The document; ``lenient`` allows commas before closing brackets and comments, as some tools write them.

    A parsed value costs many times its bytes, so values are counted before they are made.

    Raises:
        DocumentRefused
    """
    content = content.removeprefix(_UTF8_MARK)
    if sum(map(content.count, (b"[", b"{", b","))) > _MOST_VALUES:
        raise DocumentRefused(f"holds more than {_MOST_VALUES} values")
    try:
        return orjson.loads(_strict(content) if lenient else content)
    except orjson.JSONDecodeError as error:
        raise DocumentRefused(f"is not valid JSON: {error.msg}") from None


def toml_document(content: bytes) -> dict[str, Any]:
    """The document.

    Raises:
        DocumentRefused
    """
    lines = _slow_text(content)
    if any(line.count(".") > _MOST_DOTS for line in lines.split("\n")):
        raise DocumentRefused(f"has more than {_MOST_DOTS} dots on a line")
    if sum(map(content.count, (b"[", b"{", b",", b"="))) > _MOST_EVENTS:
        raise DocumentRefused(f"holds more than {_MOST_EVENTS} values")
    try:
        return tomllib.loads(lines)
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise DocumentRefused(f"is not valid TOML: {error}") from None
    except RecursionError:
        raise DocumentRefused("nests too deep") from None


def yaml_document(content: bytes) -> Any:
    """The first document; None where there is none.

    Raises:
        DocumentRefused
    """
    documents = yaml_documents(content)
    return documents[0] if documents else None


def yaml_documents(content: bytes) -> list[Any]:
    """The documents, of mappings, lists and texts: a version such as ``1.10`` stays the text that was written.

    They are made from the parser's events, without recursion: a loader would recurse, and multiply what aliases name.
    An alias is an empty text here, and only texts are keys.

    Raises:
        DocumentRefused
    """
    try:
        return _from_events(_slow_text(content))
    except yaml.YAMLError as error:
        raise DocumentRefused(f"is not valid YAML: {type(error).__name__}") from None


def xml_root(content: bytes) -> "Element":
    """The root element. A document type is refused: what is read here needs none, and entities come with it.

    Raises:
        DocumentRefused
    """
    if content.count(b"<") + content.count(b"=") > _MOST_ELEMENTS * 2:
        raise DocumentRefused(f"holds more than {_MOST_ELEMENTS} elements")
    try:
        root: Element = fromstring(content, forbid_dtd=True)
    except (SyntaxError, ValueError, LookupError) as error:
        raise DocumentRefused(f"is not XML that is read: {error}") from None
    return root


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is a mapping, else an empty one: documents of images keep no schema."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: Any) -> str:
    """The value if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def local_name(element: "Element") -> str:
    """The element's name without its namespace, which differs between versions of a format."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _slow_text(content: bytes) -> str:
    if len(content) > _SLOW_BYTES:
        raise DocumentRefused(f"is larger than {_SLOW_BYTES} bytes")
    try:
        return content.removeprefix(_UTF8_MARK).decode()
    except UnicodeDecodeError:
        raise DocumentRefused("is not UTF-8") from None


def _strict(content: bytes) -> bytes:
    """Without comments and commas that close nothing. Spaces between a comma and its bracket are kept."""
    kept = bytearray()
    comma = -1
    position, end = 0, len(content)
    while position < end:
        byte = content[position]
        if byte == 0x22:
            stop = _string_end(content, position)
            kept += content[position:stop]
            comma, position = -1, stop
            continue
        if content.startswith((b"//", b"/*"), position):
            closing = b"\n" if content[position + 1] == 0x2F else b"*/"
            found = content.find(closing, position + 2)
            position = end if found < 0 else found + len(closing)
            continue
        if byte in b"]}" and comma >= 0:
            kept[comma] = 0x20
        if byte not in b" \t\r\n":
            comma = len(kept) if byte == 0x2C else -1
        kept.append(byte)
        position += 1
    return bytes(kept)


def _string_end(content: bytes, start: int) -> int:
    position = start + 1
    while True:
        quote = content.find(b'"', position)
        if quote < 0:
            return len(content)
        backslash = content.find(b"\\", position, quote)
        if backslash < 0:
            return quote + 1
        position = backslash + 2


def _from_events(content: str) -> list[Any]:
    root: list[Any] = []
    open_values: list[dict[str, Any] | list[Any]] = [root]
    keys: list[str | None] = [None]

    def add(value: Any) -> None:
        holder = open_values[-1]
        if isinstance(holder, list):
            holder.append(value)
        elif keys[-1] is None:
            keys[-1] = value if isinstance(value, str) else ""
        else:
            holder[keys[-1]] = value
            keys[-1] = None

    for number, event in enumerate(yaml.parse(content, Loader=yaml.CSafeLoader)):
        if number > _MOST_EVENTS:
            raise DocumentRefused(f"holds more than {_MOST_EVENTS} values")
        if isinstance(event, yaml.ScalarEvent):
            add(event.value)
        elif isinstance(event, yaml.AliasEvent):
            add("")
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(open_values) > _MOST_DEPTH:
                raise DocumentRefused(f"is nested deeper than {_MOST_DEPTH} levels")
            opened: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
            add(opened)
            open_values.append(opened)
            keys.append(None)
        elif isinstance(event, yaml.CollectionEndEvent):
            open_values.pop()
            keys.pop()
    return root
