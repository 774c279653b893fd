"""Tests of the report of a training: progress, summary and plot."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest

from streetlight.model.dataset import LAB, Dataset
from streetlight.model.recipe import Recipe
from streetlight.model.report import HEIGHT, MAX_ROWS, WIDTH, ProgressReport, plot, summary
from streetlight.model.training.fit import Progress, fit


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def reported(stream: io.StringIO, iterations: int) -> str:
    report = ProgressReport(Recipe(iterations=iterations), stream)
    for iteration in range(1, iterations + 1):
        report(Progress(0, 7, iteration, 1 / iteration))
    report.close()
    return stream.getvalue()


@pytest.mark.parametrize(
    ("iterations", "shown"),
    [(60, [10, 20, 30, 40, 50, 60]), (5, [1, 2, 3, 4, 5]), (62, [*range(10, 61, 10), 62])],
)
def test_progress_lines_are_evenly_spaced_and_include_the_last_pass(
    iterations: int, shown: list[int]
) -> None:
    lines = reported(io.StringIO(), iterations).splitlines()

    numbers = [tuple(map(int, re.findall(r"(\d+)/(\d+)  seed (\d+)", line)[0])) for line in lines]
    assert numbers == [(number, iterations, 7) for number in shown]
    assert [float(line.split()[-1]) for line in lines] == pytest.approx([1 / i for i in shown])
    assert len({line.index("/") for line in lines}) == 1


def test_progress_on_a_terminal_is_a_progress_bar() -> None:
    output = reported(Terminal(), 120)

    bars = output.split("\r")[1:]
    assert len(bars) == WIDTH
    assert [bar.count("#") for bar in bars] == [i // 2 for i in range(1, WIDTH + 1)]
    assert {bar.index("]") for bar in bars} == {31}
    assert output.endswith("\x1b[K\n")
    assert output.count("\n") == 1


def test_a_summary_has_the_result_and_each_row() -> None:
    training = fit(LAB, Recipe())

    text = summary(training, LAB)

    assert text.startswith(plot(training.errors) + "\n\n")
    lines = text.splitlines()
    assert f"{training.error:.12g} after 60 iterations (seed 1)" in text
    assert "100.0% of 4 observations" in text
    assert "conflicts" not in text
    scores = training.network.scores(LAB.lights)
    rows = [
        ["1", "0", "1", "walk", "walk"],
        ["0", "1", "1", "walk", "walk"],
        ["0", "0", "1", "stop", "stop"],
        ["1", "1", "1", "stop", "stop"],
    ]
    assert [line.split() for line in lines[-4:]] == [
        [*row, f"{score:.6f}"] for row, score in zip(rows, scores, strict=True)
    ]
    assert lines[-5].split() == ["lights", "outcome", "decision", "score"]
    assert len({line.rindex("  ") for line in lines[-5:]}) == 1


def test_a_summary_has_the_number_of_runs_conflicts_and_observations() -> None:
    dataset = Dataset(np.array([[1.0, 0], [1, 0], [0, 1]]), np.array([1.0, 0, 1])).grouped()
    training = replace(fit(dataset, Recipe()), runs=3)

    text = summary(training, dataset)

    assert re.search(r"seed \d+, .* 3 ", text)
    assert " of 3 observations" in text
    assert re.search(r"conflicts +1 ", text)
    assert " 0.500 " in text


@pytest.mark.parametrize("more", [0, 1, 5])
def test_a_summary_lists_only_the_first_rows(more: int) -> None:
    count = MAX_ROWS + more
    dataset = Dataset(np.linspace(0.1, 1, count)[:, np.newaxis], np.ones(count))

    lines = summary(fit(dataset, Recipe(iterations=1)), dataset).splitlines()

    header = next(i for i, line in enumerate(lines) if line.startswith("lights"))
    assert len(lines) - header - 1 == MAX_ROWS + bool(more)
    if more:
        assert re.findall(r"\d+", lines[-1]) == [str(more)]


def test_a_plot_is_logarithmic_with_the_highest_error_at_the_top() -> None:
    errors = np.array([10.0**-row for row in range(HEIGHT)])

    lines = plot(errors).splitlines()

    assert len(lines) == HEIGHT + 2
    for row, line in enumerate(lines[:HEIGHT]):
        assert line[10:] == " " * row + "*"
    assert [line[:8].strip() for line in lines[:HEIGHT]] == ["1", *[""] * (HEIGHT - 2), "1e-07"]
    assert {line[8:10] for line in lines[:HEIGHT]} == {" |"}
    assert lines[-2] == " " * 8 + " +" + "-" * HEIGHT
    assert lines[-1] == " " * 10 + "1" + " " * (HEIGHT - 2) + str(HEIGHT)


def test_a_plot_of_many_errors_has_the_full_width() -> None:
    lines = plot(np.linspace(1, 2, 1000)).splitlines()

    assert len(lines[-2]) == 10 + WIDTH
    assert lines[-1].split() == ["1", "1000"]
    assert len(lines[-1]) == 10 + WIDTH


def test_a_plot_of_equal_errors_is_a_line_at_the_top() -> None:
    lines = plot(np.full(3, 0.25)).splitlines()

    assert lines[0] == "    0.25 |***"
    assert [line.strip() for line in lines[1 : HEIGHT - 1]] == ["|"] * (HEIGHT - 2)
    assert lines[HEIGHT - 1].strip() == "0.25 |"
    assert lines[-1].split() == ["1", "3"]


def test_a_plot_shows_an_error_of_0_in_the_lowest_row() -> None:
    lines = plot(np.array([1.0, 0.0])).splitlines()

    assert (lines[0][10:], lines[HEIGHT - 1][10:]) == ("*", " *")
    assert lines[HEIGHT - 1].split()[0] == "1e-300"


def test_a_plot_of_one_error_is_labelled() -> None:
    assert plot(np.array([0.5])).splitlines()[-1].split() == ["1", "1"]
