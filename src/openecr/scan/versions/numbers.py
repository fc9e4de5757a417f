"""Runs of digits as numbers that order, of whatever length."""


def number(digits: str) -> int:
    """A number that orders as the decimal one does; empty is 0.

    Read as if it were hexadecimal: the order of decimal digits is the same, Python's limit on long decimal numbers does
    not apply and the time is linear. Only for what was matched as ``[0-9]+``.
    """
    return int(digits, 16) if digits else 0
