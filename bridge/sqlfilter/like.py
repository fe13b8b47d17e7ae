"""Matches texts against the patterns of LIKE."""

from __future__ import annotations

import re
from functools import lru_cache

_ANY_TEXT, _ANY_CHARACTER = "%", "_"


def like(text: str, pattern: str, escape: str = "") -> bool:
    """Whether the whole text matches, case included: `%` stands for any text, `_` for any character.

    The character after `escape`, if one is given, stands for itself. The time grows with the product of both lengths at worst: each piece
    between two `%` is searched once, from the left, and never again.
    """
    pieces = _pieces(pattern, escape)
    if len(pieces) == 1:
        return pieces[0].fullmatch(text) is not None
    first = pieces[0].match(text)
    if first is None:
        return False
    position = first.end()
    for piece in pieces[1:-1]:
        found = piece.search(text, position)
        if found is None:
            return False
        position = found.end()
    last = len(text) - _width(pieces[-1])
    return last >= position and pieces[-1].match(text, last) is not None


@lru_cache(maxsize=1024)
def _pieces(pattern: str, escape: str) -> tuple[re.Pattern[str], ...]:
    """The pieces between the `%` of a pattern, each of which matches a fixed number of characters."""
    pieces: list[list[str]] = [[]]
    characters = iter(pattern)
    for character in characters:
        if escape and character == escape:
            pieces[-1].append(re.escape(next(characters, character)))
        elif character == _ANY_TEXT:
            pieces.append([])
        else:
            pieces[-1].append("." if character == _ANY_CHARACTER else re.escape(character))
    return tuple(_compiled(piece) for piece in pieces)


def _compiled(piece: list[str]) -> re.Pattern[str]:
    # The empty group counts the characters: `_width` reads it from the name.
    return re.compile("".join(piece) + f"(?P<w{len(piece)}>)", re.DOTALL)


def _width(piece: re.Pattern[str]) -> int:
    return int(next(iter(piece.groupindex))[1:])
