"""Tests of the heads of responses."""

import re
import time

import pytest

from streetlight.service.server.worker_state import ResponseHeads


@pytest.mark.parametrize("step", [1, 3600, -1, -3600])
def test_the_date_follows_the_clock(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    heads, now = ResponseHeads(), 1_700_000_000.5
    dates = []
    for seconds in (now, now + 0.4, now + step):
        monkeypatch.setattr(time, "time", lambda seconds=seconds: seconds)
        [date] = re.findall(rb"Date: (.*)\r\n", heads.get(b"200 OK", True))
        dates.append(date)

    assert dates[0] == dates[1] == b"Tue, 14 Nov 2023 22:13:20 GMT"
    assert (
        dates[2]
        == {
            1: b"Tue, 14 Nov 2023 22:13:21 GMT",
            3600: b"Tue, 14 Nov 2023 23:13:20 GMT",
            -1: b"Tue, 14 Nov 2023 22:13:19 GMT",
            -3600: b"Tue, 14 Nov 2023 21:13:20 GMT",
        }[step]
    )
