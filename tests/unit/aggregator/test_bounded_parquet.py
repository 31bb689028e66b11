"""Small files that would fill the memory are refused before they do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loadfleet_aggregator.bounded_parquet import Layout, ParquetError, read_table

ROWS = 200
LAYOUT = Layout(
    name="answers",
    columns={
        "text": "string",
        "texts": "list<element: string>",
        "numbers": "list<element: float>",
    },
    row_bytes=1_000,
    compressions=frozenset({"SNAPPY", "UNCOMPRESSED"}),
    list_values=4,
)
MOST_BYTES = 100_000
"""Of a file that is a bomb."""


def write(path: Path, values: Mapping[str, list[Any]], **options: Any) -> Path:
    told: dict[str, list[Any]] = {
        "text": [f"text {row}" for row in range(ROWS)],
        "texts": [["a", "b", "c", "d"]] * ROWS,
        "numbers": [[0.5, 1.5]] * ROWS,
    }
    types = {
        "text": pa.string(),
        "texts": pa.list_(pa.string()),
        "numbers": pa.list_(pa.float32()),
    }
    columns = {name: pa.array((told | values)[name], types[name]) for name in told}
    pq.write_table(pa.table(columns), path, **options)
    return path


def refused(path: Path, columns: list[str]) -> str:
    assert path.stat().st_size < MOST_BYTES
    with pytest.raises(ParquetError) as caught:
        read_table(path, LAYOUT, ROWS, columns, columns)
    return str(caught.value)


@pytest.mark.parametrize("options", [{}, {"use_dictionary": False}, {"row_group_size": 7},
                                     {"data_page_version": "2.0"}])  # fmt: skip
def test_a_file_as_it_should_be_is_read(tmp_path: Path, options: dict[str, Any]) -> None:
    path = write(tmp_path / "f", {}, **options)
    table = read_table(path, LAYOUT, ROWS, ["text", "texts", "numbers"])
    assert table.column("text").to_pylist() == [f"text {row}" for row in range(ROWS)]
    assert table.column("texts").to_pylist() == [["a", "b", "c", "d"]] * ROWS
    assert table.column("numbers")[199].as_py() == [0.5, 1.5]


def test_a_dictionary_that_its_writer_gave_up_is_read(tmp_path: Path) -> None:
    """As pyarrow does once it is larger than a MiB: the pages after it hold the texts."""
    texts = [[f"{row} {place}" for place in range(4)] for row in range(ROWS)]
    limit = {"dictionary_pagesize_limit": 1_000, "data_page_size": 500, "write_batch_size": 20}
    path = write(tmp_path / "f", {"texts": texts, "text": [x[0] for x in texts]}, **limit)
    assert "PLAIN" in pq.read_metadata(path).row_group(0).column(1).encodings
    table = read_table(path, LAYOUT, ROWS, ["text", "texts"])
    assert table.column("texts").to_pylist() == texts
    assert table.column("text").to_pylist() == [x[0] for x in texts]


def test_one_long_text_for_every_row_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "f", {"text": ["x" * 100_000] * ROWS})
    assert refused(path, ["text"]) == "text: more text than its rows may have"


def test_one_long_text_in_every_list_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "f", {"texts": [["x" * 100_000]] * ROWS})
    assert refused(path, ["texts"]) == "texts: more text than its rows may have"


def test_a_text_that_leans_on_the_one_before_is_refused(tmp_path: Path) -> None:
    path = write(
        tmp_path / "f",
        {"text": ["x" * 100_000] * ROWS},
        use_dictionary=False,
        column_encoding={"text": "DELTA_BYTE_ARRAY"},
    )
    assert "encoded otherwise" in refused(path, ["text"])


def test_pages_that_come_to_much_are_refused(tmp_path: Path) -> None:
    texts = [chr(97 + row % 26) * 8_000 for row in range(ROWS)]
    path = write(tmp_path / "f", {"text": texts}, use_dictionary=False)
    assert refused(path, ["text"]) == "a column that is too large for its rows"


@pytest.mark.parametrize("name", ["texts", "numbers"])
def test_a_list_of_very_many_missing_values_is_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "f", {name: [[None] * 1_000_000, *[None] * (ROWS - 1)]})
    assert refused(path, [name]) == "a column of lists with too many values for its rows"


def test_it_is_refused_too_where_the_file_describes_itself_as_small(tmp_path: Path) -> None:
    """Arrow goes by the headers of the pages, and would make a million values of it."""
    path = write(tmp_path / "f", {"numbers": [[None] * 1_000_000, *[None] * (ROWS - 1)]})
    told = pq.read_metadata(path).row_group(0).column(2).num_values
    data = path.read_bytes()
    # The description stands at the end: what is replaced there keeps its length.
    head, tail = data[: -_description(data)], data[-_description(data) :]
    assert _varint(told) in tail
    path.write_bytes(head + tail.replace(_varint(told), _varint(ROWS, len(_varint(told)))))
    assert pq.read_metadata(path).row_group(0).column(2).num_values == ROWS
    values = pq.read_table(path, columns=["numbers"])["numbers"].combine_chunks().values
    assert len(values) == 1_000_000
    assert refused(path, ["numbers"]) == (
        "a column whose pages have other values than are described"
    )


def test_no_byte_of_the_description_ends_the_process(tmp_path: Path) -> None:
    """pyarrow does not catch what its C++ throws of some: a codec that there is none, for one."""
    path = write(tmp_path / "f", {})
    data = path.read_bytes()
    refusals = 0
    for place in range(len(data) - _description(data), len(data)):
        for byte in (0x00, 0x7F, 0xFF):
            path.write_bytes(data[:place] + bytes([byte]) + data[place + 1 :])
            try:
                read_table(path, LAYOUT, ROWS, ["text", "numbers"])
            except ParquetError:
                refusals += 1
    assert refusals > 100


def _description(data: bytes) -> int:
    return int.from_bytes(data[-8:-4], "little") + 8


def _varint(number: int, length: int = 0) -> bytes:
    """Thrift's, of at least so many bytes."""
    left, found = number << 1, bytearray()
    while left > 127 or len(found) + 1 < length:
        found.append(left & 127 | 128)
        left >>= 7
    return bytes([*found, left])
