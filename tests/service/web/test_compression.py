"""Decompression of request bodies: members, damage, the limit, and the time that it takes."""

import gzip
import time
import zlib

import pytest
from werkzeug.exceptions import RequestEntityTooLarge

from streetlight.service.validation.problems import FieldError
from streetlight.service.web.compression import CHUNK_SIZE, decompress

LIMIT = 1024 * 1024
EMPTY, ONE_BYTE = gzip.compress(b"", mtime=0), gzip.compress(b"x", mtime=0)


def test_the_members_of_a_gzip_body_are_joined() -> None:
    # Members that end before, at and behind the end of a chunk.
    contents = [bytes([65 + i]) * (CHUNK_SIZE - 20 + i) for i in range(40)]
    body = b"".join(gzip.compress(content, 0) for content in contents)
    assert decompress(body, "gzip", LIMIT) == b"".join(contents)
    assert decompress(memoryview(body), "gzip", LIMIT) == b"".join(contents)
    assert decompress(zlib.compress(contents[0]), "deflate", LIMIT) == contents[0]
    assert decompress(b"", "gzip", LIMIT) == b""


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 3 * CHUNK_SIZE])
def test_a_damaged_or_truncated_body_is_refused(content: bytes) -> None:
    body = gzip.compress(content, 0)
    for wrong in (body[:-1], body[:5], body + body[:-1], body + b"\0", body[:-1] + b"?"):
        with pytest.raises(FieldError, match="not valid gzip"):
            decompress(wrong, "gzip", LIMIT)


def test_the_limit_holds_for_all_members_together() -> None:
    assert len(decompress(ONE_BYTE * 1000, "gzip", 1000)) == 1000
    for body in (ONE_BYTE * 1001, gzip.compress(b"x" * 1001), gzip.compress(bytes(100 * LIMIT))):
        with pytest.raises(RequestEntityTooLarge):
            decompress(body, "gzip", 1000)


def test_the_number_of_members_is_bounded() -> None:
    with pytest.raises(FieldError, match="not valid gzip: more than 10000 members"):
        decompress(EMPTY * 10_001, "gzip", LIMIT)


@pytest.mark.parametrize(
    ("member", "content"), [(EMPTY, b""), (ONE_BYTE, b"x")], ids=["empty", "one byte"]
)
def test_the_time_grows_linearly_with_the_number_of_members(member: bytes, content: bytes) -> None:
    def cpu_seconds(count: int) -> float:
        body, start = member * count, time.process_time()
        assert decompress(body, "gzip", LIMIT) == content * count
        return time.process_time() - start

    few, many = (min(cpu_seconds(count) for _ in range(3)) for count in (2_500, 10_000))
    # 4 times as long, and 16 times if each member copied the rest of the body.
    assert many < 8 * few
