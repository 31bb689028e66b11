"""samples.parquet is read whole or refused with one reason."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loadfleet_agent.contract.run_folder import PHASES, SAMPLES
from loadfleet_aggregator.samples import read as module
from loadfleet_aggregator.samples.read import SamplesError, read_samples

from ..helpers import HostRun
from .made import SECOND, TYPES, columns, write


def refused(path: Path, rows: int = 4) -> str:
    with pytest.raises(SamplesError) as caught:
        read_samples(path, rows, answers=True)
    return str(caught.value)


def test_the_file_of_a_real_agent_is_read_whole(host_a: HostRun) -> None:
    path = host_a.folder / PHASES / "server-accuracy" / SAMPLES
    table = pq.read_table(path)
    samples = read_samples(path, table.num_rows, answers=True)
    assert samples.index.tolist() == table["sample_index"].to_pylist()
    assert samples.issue_ns.tolist() == table["issue_ns"].to_pylist()
    assert samples.last_token_ns.tolist() == table["last_token_ns"].to_pylist()
    assert samples.output_tokens.tolist() == table["output_tokens"].to_pylist()
    assert samples.answers is not None
    assert samples.answers.tolist() == [
        int.from_bytes(answer[:8], "big") for answer in table["output_sha256"].to_pylist()
    ]


def test_several_row_groups_are_one(tmp_path: Path) -> None:
    table = pq.read_table(write(tmp_path / "one", columns(10)))
    pq.write_table(table, tmp_path / "several", row_group_size=3)
    samples = read_samples(tmp_path / "several", 10, answers=True)
    assert samples.index.tolist() == list(range(10))
    assert samples.answers is not None
    assert [f"{int(answer):016x}"[:2] for answer in samples.answers] == [
        f"{index:02x}" for index in range(10)
    ]


def test_answers_are_read_only_where_they_are_asked_for(tmp_path: Path) -> None:
    assert read_samples(write(tmp_path / "f", columns()), 4, answers=False).answers is None


class TestRefused:
    def test_is_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        assert "No such file" in refused(tmp_path / "none")

    def test_is_a_link(self, tmp_path: Path) -> None:
        write(tmp_path / "f", columns())
        (tmp_path / "link").symlink_to(tmp_path / "f")
        assert "link" in refused(tmp_path / "link")

    def test_is_a_pipe_without_waiting_for_it(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        assert "not a plain file" in refused(tmp_path / "pipe")

    @pytest.mark.parametrize("rows", [3, 5])
    def test_is_another_number_of_rows(self, tmp_path: Path, rows: int) -> None:
        assert "4 rows" in refused(write(tmp_path / "f", columns()), rows)

    @pytest.mark.parametrize("rows", [0, -1, module.MAX_ROWS + 1])
    def test_is_a_run_of_a_senseless_size(self, tmp_path: Path, rows: int) -> None:
        assert "samples" in refused(write(tmp_path / "f", columns()), rows)

    def test_is_a_file_that_is_too_large_for_its_rows(self, tmp_path: Path) -> None:
        path = write(tmp_path / "f", columns())
        with path.open("ab") as stream:
            stream.truncate(2 << 20)
        assert "too large" in refused(path)

    def test_is_a_column_of_another_type(self, tmp_path: Path) -> None:
        assert "columns" in refused(write(tmp_path / "f", columns(), sample_index=pa.int64()))
        assert "columns" in refused(write(tmp_path / "f", columns(), output_sha256=pa.binary()))

    def test_is_a_column_too_few_or_too_many(self, tmp_path: Path) -> None:
        told = columns()
        assert refused(write(tmp_path / "f", {k: told[k] for k in list(told)[1:]}))
        more = told | {"text": ["a"] * 4}
        assert refused(write(tmp_path / "f", more, text=pa.string()))

    def test_is_a_column_twice(self, tmp_path: Path) -> None:
        told = columns()
        names = [*list(told)[:-1], "issue_ns"]
        arrays = [pa.array(told[name], TYPES[name]) for name in names]
        pq.write_table(pa.Table.from_arrays(arrays, names), tmp_path / "f")
        assert "columns" in refused(tmp_path / "f")

    def test_is_a_column_in_a_column(self, tmp_path: Path) -> None:
        told = columns() | {"output_tokens": [[1], [2], [3], [4]]}
        assert "columns" in refused(
            write(tmp_path / "f", told, output_tokens=pa.list_(pa.uint32()))
        )

    def test_is_a_compression_that_makes_much_of_little(self, tmp_path: Path) -> None:
        table = pq.read_table(write(tmp_path / "f", columns()))
        pq.write_table(table, tmp_path / "g", compression="zstd")
        assert "compressed otherwise" in refused(tmp_path / "g")

    def test_is_a_missing_value(self, tmp_path: Path) -> None:
        told = columns() | {"output_tokens": [1, None, 3, 4]}
        assert "missing" in refused(write(tmp_path / "f", told))

    @pytest.mark.parametrize(
        ("name", "values"),
        [
            ("issue_ns", [-1, 0, 0, 0]),
            ("issue_ns", [2 * SECOND] * 4),
            ("last_token_ns", [0, 0, 0, 2**62]),
            ("last_token_ns", [0, 1, 2, 3]),
        ],
    )
    def test_is_a_time_that_no_clock_tells(
        self, tmp_path: Path, name: str, values: list[int]
    ) -> None:
        assert "clock" in refused(write(tmp_path / "f", columns() | {name: values}))

    def test_is_an_answer_of_senseless_length(self, tmp_path: Path) -> None:
        told = columns() | {"output_tokens": np.full(4, 2**32 - 1, dtype=np.uint32)}
        assert "tokens" in refused(write(tmp_path / "f", told))

    @given(st.data())
    def test_is_damage_anywhere_or_it_does_no_harm(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        path = write(tmp_path_factory.mktemp("damaged") / "f", columns(20))
        whole = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(whole) - 1))
        match data.draw(st.sampled_from(["cut", "byte", "zeros", "twice"])):
            case "cut":
                del whole[at:]
            case "byte":
                whole[at] = data.draw(st.integers(0, 255))
            case "zeros":
                whole[at : at + 16] = bytes(16)
            case "twice":
                whole[at:at] = whole[at:]
        path.write_bytes(whole)
        told = ""
        try:
            samples = read_samples(path, 20, answers=True)
            assert len(samples) == 20
            assert (samples.last_token_ns >= samples.issue_ns).all()
        except SamplesError as error:
            told = str(error)
        assert "\n" not in told
        assert str(path.parent) not in told
