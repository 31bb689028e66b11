"""The headers of a Parquet file, read here, for Arrow's own reader of them is not safe.

pyarrow ends the process where the description of a column is senseless (C++ exceptions that it
does not catch), and decodes what the headers of pages say, whatever the description says. What is
read here is as strict as it must be to mean what Arrow will take it for: nothing is told twice,
no number is cut to fit, no list holds another type than it does in parquet.thrift.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

MAX_FOOTER_BYTES = 1 << 20
"""Some 100 bytes for each column of each row group."""

Struct = dict[int, tuple[int, Any]]
"""Thrift's: number of a field to its type and value; the value of a text is left out."""

# Types of Thrift's compact protocol.
_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _STRUCT = (
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12,
)  # fmt: skip
_BITS = {_I16: 16, _I32: 32, _I64: 64}
_DEEPEST = 12
_LISTS = {
    (2,): _STRUCT,
    (4,): _STRUCT,
    (4, 1): _STRUCT,
    (4, 1, 3, 2): _I32,
    (4, 1, 3, 3): _BINARY,
    (4, 1, 3, 8): _STRUCT,
    (4, 1, 3, 13): _STRUCT,
    (4, 1, 3, 16, 2): _I64,
    (4, 1, 3, 16, 3): _I64,
    (4, 4): _STRUCT,
    (5,): _STRUCT,
    (7,): _STRUCT,
}
"""The fields that lead to a list in FileMetaData, and of what it is. Thrift's readers take a list
to be of what they expect, whatever it says."""

_MAGIC = b"PAR1"
_CODECS = {0: "UNCOMPRESSED", 1: "SNAPPY"}
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_DETAILS = {_DATA: (5, 2), _DICTIONARY: (7, 2), _DATA_V2: (8, 4)}
"""Type of a page to the field of its own header and that of the encoding in it."""
_ENCODINGS = frozenset({0, 2, 3, 8})
"""Plain, by a dictionary, and run lengths of levels or booleans. Others make long values of a few
bytes (DELTA_BYTE_ARRAY)."""


class HeaderError(ValueError):
    """A header that no writer of ours makes."""


@dataclass(frozen=True)
class Chunk:
    """One column of a row group."""

    compression: str
    """Name of the codec; '' for one that we do not use."""
    values: int
    start: int
    """Offset of its first page in the file."""
    size_bytes: int
    """Of all its pages, compressed."""


@dataclass(frozen=True)
class RowGroup:
    rows: int
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class Page:
    dictionary: bool
    values: int
    size_bytes: int
    """Uncompressed."""


def read_row_groups(stream: BinaryIO, size: int) -> list[RowGroup]:
    """Of a file of so many bytes. Raises HeaderError."""
    stream.seek(max(0, size - 8))
    end = stream.read(8)
    length = int.from_bytes(end[:4], "little")
    if len(end) < 8 or end[4:] != _MAGIC or length > size - 8:
        raise HeaderError("no end that a Parquet file has")
    if length > MAX_FOOTER_BYTES:
        raise HeaderError(f"a description of {length} bytes")
    stream.seek(size - 8 - length)
    described = _read_struct(io.BytesIO(stream.read(length)), ())
    return [
        RowGroup(
            rows=_told(group, 3, _I64),
            chunks=tuple(_chunk(_told(column, 3, _STRUCT)) for column in _told(group, 1, _LIST)),
        )
        for group in _told(described, 4, _LIST)
    ]


def _chunk(column: Struct) -> Chunk:
    start = _told(column, 9, _I64)
    if 11 in column and 0 < (dictionary := _told(column, 11, _I64)) < start:
        start = dictionary
    values, size = _told(column, 5, _I64), _told(column, 7, _I64)
    if min(start, values, size) < 0:
        raise HeaderError("a column of a senseless size")
    return Chunk(_CODECS.get(_told(column, 4, _I32), ""), values, start, size)


def read_pages(stream: BinaryIO, chunk: Chunk) -> Iterator[Page]:
    """Headers of its pages. Raises HeaderError."""
    start, end = chunk.start, chunk.start + chunk.size_bytes
    while start < end:
        stream.seek(start)
        header = _read_struct(stream, ())
        kind = _told(header, 1, _I32)
        if kind not in _DETAILS:
            raise HeaderError("a page of another kind")
        field, encoding = _DETAILS[kind]
        details = _told(header, field, _STRUCT)
        page = Page(kind == _DICTIONARY, _told(details, 1, _I32), _told(header, 2, _I32))
        packed = _told(header, 3, _I32)
        if _told(details, encoding, _I32) not in _ENCODINGS:
            raise HeaderError("a page that is encoded otherwise")
        if min(page.values, page.size_bytes, packed) < 0:
            raise HeaderError("a page of a senseless size")
        start = stream.tell() + packed
        yield page
    if start != end:
        raise HeaderError("a page that ends behind its column")


# Thrift's compact protocol.


def _told(struct: Struct, number: int, kind: int) -> Any:
    found, value = struct.get(number, (_STOP, None))
    if found != kind:
        raise HeaderError("a header that lacks a field")
    return value


def _read_struct(stream: BinaryIO, path: tuple[int, ...]) -> Struct:
    """``path``: the fields that lead to it."""
    struct: Struct = {}
    number = 0
    while True:
        head = _read_byte(stream)
        kind, step = head & 15, head >> 4
        if kind == _STOP:
            return struct
        number = number + step if step else _read_integer(stream, 16)
        if number in struct or not 0 <= number < 1 << 15:
            raise HeaderError("a header that tells a thing twice")
        value = None if kind in (_TRUE, _FALSE) else _read_value(stream, kind, (*path, number))
        struct[number] = kind, value


def _read_value(stream: BinaryIO, kind: int, path: tuple[int, ...]) -> Any:
    if kind in _BITS:
        return _read_integer(stream, _BITS[kind])
    if kind == _BYTE:
        return _read_byte(stream)
    if kind == _DOUBLE:
        stream.seek(8, io.SEEK_CUR)
    elif kind == _BINARY:
        stream.seek(_read_varint(stream, 31), io.SEEK_CUR)
    elif kind == _STRUCT and len(path) < _DEEPEST:
        return _read_struct(stream, path)
    elif kind == _LIST:
        head = _read_byte(stream)
        length = head >> 4 if head >> 4 < 15 else _read_varint(stream, 31)
        if head & 15 != _LISTS.get(path):
            raise HeaderError("a list of another type")
        return [_read_value(stream, head & 15, path) for _ in range(length)]
    else:
        raise HeaderError("a header that is none")
    return None


def _read_byte(stream: BinaryIO) -> int:
    data = stream.read(1)
    if not data:
        raise HeaderError("a header that does not end")
    return data[0]


def _read_varint(stream: BinaryIO, bits: int) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = _read_byte(stream)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> bits:
                break
            return value
    raise HeaderError("a header with a number that is too large")


def _read_integer(stream: BinaryIO, bits: int) -> int:
    value = _read_varint(stream, bits)
    return (value >> 1) ^ -(value & 1)
