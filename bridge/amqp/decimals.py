"""The decimal types of AMQP: IEEE 754-2008 with the coefficient as a binary integer, which .NET's decimal is sent as."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import NamedTuple


class _Format(NamedTuple):
    """How the bits of a decimal are laid out, after one bit for the sign."""

    exponent_bits: int
    coefficient_bits: int
    bias: int


_BY_WIDTH = {4: _Format(8, 23, 101), 8: _Format(10, 53, 398), 16: _Format(14, 113, 6176)}
_DECIMAL128 = Context(prec=34, Emin=-6143, Emax=6144, clamp=1, traps=[])


def decode_decimal(raw: bytes) -> Decimal:
    """The number in 4, 8 or 16 bytes."""
    layout = _BY_WIDTH[len(raw)]
    bits = int.from_bytes(raw, "big")
    negative = bits >> (layout.exponent_bits + layout.coefficient_bits)
    combination = (bits >> (layout.exponent_bits + layout.coefficient_bits - 5)) & 0x1F
    if combination == 0x1F:
        return Decimal("NaN")
    if combination == 0x1E:
        return Decimal("-Infinity" if negative else "Infinity")
    if combination >> 3 == 3:
        return Decimal(0)  # the coefficient of this form is larger than the format holds, which the standard counts as zero
    coefficient = bits & ((1 << layout.coefficient_bits) - 1)
    exponent = (bits >> layout.coefficient_bits) & ((1 << layout.exponent_bits) - 1)
    digits = tuple(int(digit) for digit in str(coefficient))
    return Decimal((negative, digits, exponent - layout.bias))


def encode_decimal(number: Decimal) -> bytes:
    """The number in 16 bytes. Digits beyond the 34 that fit are rounded away."""
    layout = _BY_WIDTH[16]
    number = _DECIMAL128.plus(number)
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        special = 0x1E if number.is_infinite() else 0x1F
        return ((sign << 127) | (special << 122)).to_bytes(16, "big")
    coefficient = int("".join(map(str, digits)))
    return ((sign << 127) | ((exponent + layout.bias) << layout.coefficient_bits) | coefficient).to_bytes(16, "big")
