"""The pages of a Parquet column by their own headers, which say what a reader will decode.

The file's description tells of sizes and counts too, but Arrow goes by the headers, and nothing
keeps the two alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

Fields = dict[tuple[int, ...], int]
"""Of a Thrift struct: numbers of the fields that lead to an int32, and its value."""

# Thrift's compact protocol, as far as a PageHeader of parquet.thrift uses it.
_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _BINARY, _STRUCT = 0, 1, 2, 3, 4, 5, 6, 8, 12
_DEEPEST = 3
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_DETAILS = {_DATA: (5, 2), _DICTIONARY: (7, 2), _DATA_V2: (8, 4)}
"""Type of a page to the fields of its own header and of the encoding in that. The number of its
values is the first field of each."""
_ENCODINGS = frozenset({0, 2, 3, 8})
"""Plain, by a dictionary, and run lengths of levels or booleans. Others make long values of a few
bytes (DELTA_BYTE_ARRAY)."""


class PageError(ValueError):
    """A header that no writer of ours makes."""


@dataclass(frozen=True)
class Page:
    dictionary: bool
    values: int
    size_bytes: int
    """Uncompressed."""


def pages(stream: BinaryIO, start: int, size: int) -> Iterator[Page]:
    """Those of ``size`` bytes from ``start``. Raises PageError."""
    end = start + size
    while start < end:
        stream.seek(start)
        fields: Fields = {}
        _read_struct(stream, (), fields)
        try:
            kind = fields[(1,)]
            details, encoding = _DETAILS[kind]
            page = Page(kind == _DICTIONARY, fields[details, 1], fields[(2,)])
            packed, known = fields[(3,)], fields[details, encoding] in _ENCODINGS
        except KeyError as error:
            raise PageError("a page of another kind") from error
        if not known or min(page.values, page.size_bytes, packed) < 0:
            raise PageError("a page that is encoded otherwise, or of a senseless size")
        start = stream.tell() + packed
        yield page
    if start != end:
        raise PageError("a page that ends behind its column")


def _read_struct(stream: BinaryIO, path: tuple[int, ...], found: Fields) -> None:
    number = 0
    while True:
        head = _read_byte(stream)
        kind, step = head & 15, head >> 4
        if kind == _STOP:
            return
        number = number + step if step else _signed(_read_varint(stream))
        where = (*path, number)
        if kind == _I32:
            if where in found:
                raise PageError("a page header that tells a thing twice")
            found[where] = _signed(_read_varint(stream))
        elif kind in (_I16, _I64):
            _read_varint(stream)
        elif kind == _BYTE:
            _read_byte(stream)
        elif kind == _BINARY:
            stream.seek(_read_varint(stream), 1)
        elif kind == _STRUCT and len(where) < _DEEPEST:
            _read_struct(stream, where, found)
        elif kind not in (_TRUE, _FALSE):
            raise PageError("a page header that is none")


def _read_byte(stream: BinaryIO) -> int:
    data = stream.read(1)
    if not data:
        raise PageError("a page header that does not end")
    return data[0]


def _read_varint(stream: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = _read_byte(stream)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
    raise PageError("a page header with a number that does not end")


def _signed(value: int) -> int:
    """ZigZag's."""
    return (value >> 1) ^ -(value & 1)
