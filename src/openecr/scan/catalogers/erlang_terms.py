"""Terms of Erlang and Elixir, as far as their lock and application files need: one reader for both notations.

Source: the Erlang Reference Manual, "Data Types"; Elixir's syntax reference. Tuples and lists become lists, maps become
lists of keys and values in turns, atoms and texts become strings; what is evaluated (operators, functions) is refused.
"""

import re
from typing import TypeAlias

Term: TypeAlias = "str | list[Term]"

_MOST_DEPTH = 64
_MOST_TOKENS = 2_000_000
_TOKEN = re.compile(
    r"""
    (?P<space>\s+|%(?!\{)[^\n]*)
    |(?P<open>%\{|\#\{|<<|[\[{])
    |(?P<close>>>|[\]}])
    |(?P<separator>=>|:=|[,|.])
    |(?P<text>"(?:[^"\\]|\\.)*")
    |:?(?P<quoted>'(?:[^'\\]|\\.)*')
    |(?P<word>:?[A-Za-z0-9_@+/-]+[?!]?(?:\.(?=[A-Za-z0-9_@])[A-Za-z0-9_@+/-]+)*):?
    |(?P<character>\$\\?.)
    |(?P<colon>:)
    """,
    re.VERBOSE,
)


def terms(text: str) -> list[Term]:
    """Every term of the text, in order.

    Raises:
        ValueError: something else than a term, brackets that do not match, too deep, too many.
    """
    stack: list[list[Term]] = [[]]
    at, tokens = 0, 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        tokens += 1
        if match is None or tokens > _MOST_TOKENS:
            raise ValueError(f"no term at {at}" if match is None else "holds too many terms")
        at = match.end()
        kind = match.lastgroup
        if kind == "open":
            if len(stack) > _MOST_DEPTH:
                raise ValueError(f"nested deeper than {_MOST_DEPTH}")
            inner: list[Term] = []
            stack[-1].append(inner)
            stack.append(inner)
        elif kind == "close":
            if len(stack) == 1:
                raise ValueError(f"a bracket too much at {at}")
            stack.pop()
        elif kind in ("text", "quoted"):
            stack[-1].append(match[kind][1:-1])
        elif kind == "word":
            stack[-1].append(match["word"].removeprefix(":"))
    if len(stack) != 1:
        raise ValueError("a bracket that is not closed")
    return stack[0]
