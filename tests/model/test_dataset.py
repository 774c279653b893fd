"""Tests of datasets: validation, grouping, and reading and writing CSV."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetlight.model import csv_io
from streetlight.model.dataset import (
    LAB,
    LAB_DATASETS,
    LAB_DIRECT,
    THRESHOLD,
    Dataset,
    DatasetError,
    is_walk,
    outcome_name,
)
from tests.model.bits import assert_same_bits


def dataset(rows: list[list[float]], outcomes: list[float]) -> Dataset:
    return Dataset(np.array(rows, dtype=float), np.array(outcomes, dtype=float))


def test_grouping_keeps_the_order_and_averages_the_outcomes() -> None:
    grouped = dataset([[0, 1], [1, 0], [0, 1], [0, 1]], [1, 0, 0, 1]).grouped()

    assert grouped.lights.tolist() == [[0, 1], [1, 0]]
    assert grouped.walk_vs_stop.tolist() == pytest.approx([2 / 3, 0])
    assert grouped.counts.tolist() == [3, 1]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.booleans()), min_size=1))
def test_grouping_keeps_the_counts_conflicts_and_accuracy(
    rows: list[tuple[int, int, bool]],
) -> None:
    raw = dataset([[a, b] for a, b, _ in rows], [float(walked) for *_, walked in rows])
    grouped = raw.grouped()

    # The scores of a network that decides walk if the left light is on.
    raw_scores, grouped_scores = (data.lights[:, 0].clip(0, 1) for data in (raw, grouped))
    assert grouped.counts.sum() == len(raw)
    assert grouped.conflicts == raw.conflicts
    assert raw.accuracy(raw_scores) == pytest.approx(grouped.accuracy(grouped_scores))


def test_accuracy_is_the_share_of_correct_decisions() -> None:
    assert (
        dataset([[0], [1], [2], [3]], [1, 0, 1, 0]).accuracy(np.array([0.5, 0.5, 0.4, 0.4])) == 0.5
    )
    assert LAB.accuracy(LAB.walk_vs_stop) == 1
    counted = Dataset(np.array([[0.0], [1.0]]), np.array([1.0, 0.25]), np.array([1, 4]))
    assert counted.accuracy(np.array([0.0, 0.0])) == 0.6


def test_negative_zero_is_stored_as_zero() -> None:
    stored = Dataset(np.array([[-0.0, 1.0]]), np.array([-0.0]))

    assert_same_bits(stored.lights, [[0.0, 1.0]])
    assert_same_bits(stored.walk_vs_stop, [0.0])


def test_conflicts_are_states_observed_with_both_outcomes() -> None:
    assert dataset([[0, 1], [0, 1], [1, 1]], [1, 0, 1]).conflicts == 1
    assert LAB_DIRECT.conflicts == 0


def test_the_lab_s_datasets_have_its_rows() -> None:
    rows = {
        name: list(zip(data.lights.astype(int).tolist(), data.walk_vs_stop.tolist(), strict=True))
        for name, data in LAB_DATASETS.items()
    }

    assert rows["one-light"] == [([1, 0, 1], 0)]
    assert rows["two-rows"] == rows["six"][:2] == [([1, 0, 1], 0), ([0, 1, 1], 1)]
    assert [row for row, _ in rows["four"]] == [row for row, _ in rows["six"]][:4]
    # No single light correlates with the outcome: each is on as often for walk as for stop.
    for light in range(3):
        assert sum((2 * outcome - 1) * lights[light] for lights, outcome in rows["four"]) == 0


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
def test_levels_are_the_values_of_off_and_on(
    rows: list[list[float]], levels: tuple[float, float]
) -> None:
    assert dataset(rows, [1] * len(rows)).levels == levels


def test_scale_is_the_largest_light() -> None:
    assert dataset([[-3, 2]], [1]).scale == 3
    assert dataset([[0, 0]], [1]).scale == 1


@pytest.mark.parametrize(
    ("rows", "outcomes", "message"),
    [
        ([[1, np.inf]], [1], "row 1: lights: expected finite numbers"),
        ([[1, 0], [0, np.nan]], [1, 0], "row 2: lights"),
        ([[1, 0]], [2], "row 1: outcome: expected a number from 0 to 1"),
        ([[1, 0]], [np.nan], "row 1: outcome"),
        ([[1, 0]], [1, 0], "an outcome and a count for each of 1 light states, got 2"),
        ([], [], "at least one light"),
    ],
)
def test_invalid_data_are_refused_by_row(
    rows: list[list[float]], outcomes: list[float], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        dataset(rows, outcomes)


def test_a_count_below_one_is_refused() -> None:
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
def test_a_written_csv_is_read_with_the_same_bits(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[list[float], bool]]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "observations.csv"
    written = dataset([lights for lights, _ in rows], [float(walked) for _, walked in rows])

    csv_io.write(written, path)
    read = csv_io.read(path)

    assert_same_bits(read.lights, written.lights)
    assert_same_bits(read.walk_vs_stop, written.walk_vs_stop)


def test_csv_may_have_a_byte_order_mark_spaces_blank_lines_and_capitals(tmp_path: Path) -> None:
    path = tmp_path / "corner.csv"
    path.write_text(
        "\ufeffleft, middle ,right,Outcome\n1,0,1,walk\n\n0,1,1, Walk \n0,0,1,0\n1,1,1,STOP\n"
    )

    read = csv_io.read(path)

    assert read.lights.tolist() == LAB.lights.tolist()
    assert read.walk_vs_stop.tolist() == LAB.walk_vs_stop.tolist()


@pytest.mark.parametrize(
    ("text", "message"),
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
def test_an_invalid_csv_is_refused_with_its_file_and_line(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(DatasetError, match=r"bad\.csv") as caught:
        csv_io.read(path)

    assert message in str(caught.value)


def test_writing_a_mean_outcome_to_csv_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="row 1: outcome: expected walk or stop"):
        csv_io.write(dataset([[1, 0]], [0.5]), tmp_path / "mean.csv")


def test_a_row_with_a_count_is_written_once_for_each_observation(tmp_path: Path) -> None:
    grouped = LAB_DIRECT.grouped()
    csv_io.write(grouped, tmp_path / "direct.csv")

    read = csv_io.read(tmp_path / "direct.csv")

    assert len(read) == len(LAB_DIRECT)
    assert read.grouped().counts.tolist() == grouped.counts.tolist()


def test_repr_does_not_show_the_rows() -> None:
    assert repr(LAB) == "Dataset(4 rows of 3 lights)"


def test_a_score_at_the_threshold_means_stop() -> None:
    above = float(np.nextafter(THRESHOLD, 1))

    assert [outcome_name(score) for score in (0.5, THRESHOLD, above)] == ["stop", "stop", "walk"]
    assert is_walk(np.array([0.5, THRESHOLD, above])).tolist() == [False, False, True]


def test_arrays_are_converted_to_read_only_doubles() -> None:
    counts = np.array([2, 1])
    dataset = Dataset(np.array([["1", "0"], ["0", "1"]]), np.array(["1", "0"]), counts)

    assert {dataset.lights.dtype, dataset.walk_vs_stop.dtype} == {np.dtype(np.float64)}
    for array in (dataset.lights, dataset.walk_vs_stop, dataset.counts):
        assert not array.flags.writeable
    counts[0] = 5
    assert dataset.counts.tolist() == [2, 1]


def test_lights_must_be_a_matrix() -> None:
    for lights in (np.ones(2), np.ones((1, 1, 1)), np.ones((0, 1)), np.ones((1, 0))):
        with pytest.raises(DatasetError):
            Dataset(lights, np.ones(len(lights)))


def test_only_a_state_with_both_outcomes_is_a_conflict() -> None:
    assert Dataset(np.eye(3), np.array([0.0, 1.0, 0.5])).conflicts == 1


def test_a_written_csv_has_the_same_bytes_on_every_system(tmp_path: Path) -> None:
    csv_io.write(LAB, tmp_path / "lab.csv")

    assert (tmp_path / "lab.csv").read_bytes() == (
        b"light_0,light_1,light_2,outcome\n1,0,1,walk\n0,1,1,walk\n0,0,1,stop\n1,1,1,stop\n"
    )


def test_a_quoted_light_name_may_contain_a_line_break(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_bytes(b'"left\r\nlight",outcome\r\n1,walk\r\nx,stop\r\n')

    with pytest.raises(DatasetError, match="left\r\nlight"):
        csv_io.read(path)
