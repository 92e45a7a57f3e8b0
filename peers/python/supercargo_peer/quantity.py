"""Kubernetes quantities as integers: milli-cores of CPU, whole units of everything else, rounded up."""

import math
from fractions import Fraction

_SUFFIXES = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}


def value(text: str | int | float) -> Fraction:
    """The quantity, exactly."""
    text = str(text).strip()
    try:
        return Fraction(text)  # plain numbers, and those with an exponent
    except ValueError:
        digits = text.rstrip("numkMGTPEi")
        suffix = text[len(digits) :]
        if suffix not in _SUFFIXES:
            raise ValueError(f"`{text}` is no quantity") from None
        return Fraction(digits) * _SUFFIXES[suffix]


def amount(resource: str, text: str | int | float) -> int:
    """The quantity in the units of the resource."""
    return math.ceil(value(text) * (1000 if resource == "cpu" else 1))
