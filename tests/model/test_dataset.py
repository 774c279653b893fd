"""Datasets: what they check, how they group, and CSV in and out."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetlight.model import csv_io
from streetlight.model.dataset import LAB, LAB_DIRECT, Dataset, DatasetError


def dataset(rows: list[list[float]], outcomes: list[float]) -> Dataset:
    return Dataset(np.array(rows, dtype=float), np.array(outcomes, dtype=float))


def test_equal_states_are_grouped_in_order_with_their_mean_outcome() -> None:
    grouped = dataset([[0, 1], [1, 0], [0, 1], [0, 1]], [1, 0, 0, 1]).grouped()

    assert grouped.lights.tolist() == [[0, 1], [1, 0]]
    assert grouped.walk_vs_stop.tolist() == pytest.approx([2 / 3, 0])
    assert grouped.counts.tolist() == [3, 1]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.booleans()), min_size=1))
def test_grouping_loses_no_observation_and_no_accuracy(rows: list[tuple[int, int, bool]]) -> None:
    raw = dataset([[a, b] for a, b, _ in rows], [float(walked) for *_, walked in rows])
    grouped = raw.grouped()

    walks_where_left_is_on = [data.lights[:, 0].clip(0, 1) for data in (raw, grouped)]
    assert grouped.counts.sum() == len(raw)
    assert grouped.conflicts == raw.conflicts
    assert raw.accuracy(walks_where_left_is_on[0]) == pytest.approx(
        grouped.accuracy(walks_where_left_is_on[1])
    )


def test_conflicts_are_states_seen_with_both_outcomes() -> None:
    assert dataset([[0, 1], [0, 1], [1, 1]], [1, 0, 1]).conflicts == 1
    assert LAB_DIRECT.conflicts == 0


@pytest.mark.parametrize(
    ("rows", "levels"),
    [
        ([[0, 1], [1, 1]], (0, 1)),
        ([[-1, 1], [1, 1]], (-1, 1)),
        ([[0, 10], [3, 1]], (0, 10)),
        ([[1, 1]], (0, 1)),
        ([[0, 0]], (0, 1)),
        ([[-2, -2]], (-2, 0)),
    ],
)
def test_levels_are_what_off_and_on_look_like(
    rows: list[list[float]], levels: tuple[float, float]
) -> None:
    assert dataset(rows, [1] * len(rows)).levels == levels


def test_scale_is_the_largest_light() -> None:
    assert dataset([[-3, 2]], [1]).scale == 3
    assert dataset([[0, 0]], [1]).scale == 1


@pytest.mark.parametrize(
    ("rows", "outcomes", "complaint"),
    [
        ([[1, np.inf]], [1], "row 1: lights: expected finite numbers"),
        ([[1, 0], [0, np.nan]], [1, 0], "row 2: lights"),
        ([[1, 0]], [2], "row 1: outcome: expected a number from 0 to 1"),
        ([[1, 0]], [np.nan], "row 1: outcome"),
        ([[1, 0]], [1, 0], "an outcome and a count for each of 1 light states, got 2"),
        ([], [], "at least one light"),
    ],
)
def test_impossible_data_are_refused_by_row(
    rows: list[list[float]], outcomes: list[float], complaint: str
) -> None:
    with pytest.raises(DatasetError, match=complaint):
        dataset(rows, outcomes)


def test_counts_are_at_least_one() -> None:
    with pytest.raises(DatasetError, match="row 1: count"):
        Dataset(np.ones((1, 1)), np.ones(1), np.zeros(1, dtype=np.int64))


@given(
    st.integers(1, 4).flatmap(
        lambda k: st.lists(
            st.tuples(
                st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=k, max_size=k),
                st.booleans(),
            ),
            min_size=1,
            max_size=20,
        )
    )
)
def test_csv_brings_back_every_bit(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[list[float], bool]]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "observations.csv"
    written = dataset([lights for lights, _ in rows], [float(walked) for _, walked in rows])

    csv_io.write(written, path)
    read = csv_io.read(path)

    assert read.lights.tobytes() == written.lights.tobytes()
    assert read.walk_vs_stop.tobytes() == written.walk_vs_stop.tobytes()


def test_csv_reads_as_a_person_writes(tmp_path: Path) -> None:
    path = tmp_path / "corner.csv"
    path.write_text(
        "\ufeffleft, middle ,right,Outcome\n1,0,1,walk\n\n0,1,1, Walk \n0,0,1,0\n1,1,1,STOP\n"
    )

    read = csv_io.read(path)

    assert read.lights.tolist() == LAB.lights.tolist()
    assert read.walk_vs_stop.tolist() == LAB.walk_vs_stop.tolist()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1: expected a header"),
        ("left,middle\n1,0\n", "line 1: expected a header of light names and then outcome"),
        ("left,outcome\n", "expected at least one observation"),
        ("left,outcome\n1,walk\n1,walk,2\n", "line 3: expected 2 columns, got 3"),
        ("left,outcome\n1,walk\n\non,stop\n", 'line 4: left: expected a finite number, got "on"'),
        ("left,outcome\ninf,walk\n", 'line 2: left: expected a finite number, got "inf"'),
        ("left,outcome\n1,run\n", 'line 2: outcome: expected walk, stop, 1 or 0, got "run"'),
        ('left,outcome\n"1,walk\n', "unexpected end of data"),
        ("left,outcome\n\xff", "decode"),
    ],
)
def test_a_bad_csv_is_named_by_file_and_line(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(DatasetError, match=r"bad\.csv") as caught:
        csv_io.read(path)

    assert complaint in str(caught.value)


def test_a_mean_outcome_can_not_be_written_as_an_observation(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="row 1: outcome: expected walk or stop"):
        csv_io.write(dataset([[1, 0]], [0.5]), tmp_path / "mean.csv")


def test_counted_rows_are_written_as_often_as_they_were_seen(tmp_path: Path) -> None:
    grouped = LAB_DIRECT.grouped()
    csv_io.write(grouped, tmp_path / "direct.csv")

    read = csv_io.read(tmp_path / "direct.csv")

    assert len(read) == len(LAB_DIRECT)
    assert read.grouped().counts.tolist() == grouped.counts.tolist()


def test_it_does_not_show_its_rows() -> None:
    assert repr(LAB) == "Dataset(4 rows of 3 lights)"
