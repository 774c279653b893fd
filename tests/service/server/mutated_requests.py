"""Sequences of pipelined requests, most of them malformed, and how h11 reads them.

Each request asks for a prediction. Its answer shows which bytes the server took for the head and
which for the body: it echoes the `X-Request-ID` of the head, and the score depends on the body.
A body may hide a request, which the server must answer only if the body ends before it.
"""

import re
from random import Random
from typing import NamedTuple

import h11

# A light state is [LIGHT, 0, 1]. A request has a light below 5, one that hides in its body 5 more.
LIGHTS = range(10)
PREDICTION = b'{"lights": [%d, 0, 1]}'
VALID_ID = re.compile(rb"[\x21-\x7e]{1,128}")
VALID_BODY = re.compile(rb'\s*\{"lights": \[(\d), 0, 1\]\}\s*')
PERSISTENT = re.compile(rb"(?!.*\bclose\b).*\bkeep-alive\b.*", re.IGNORECASE)
SPACED_LINE = re.compile(rb"\A\s*(\S+)[^\S\n]+(\S+)[^\S\n]+(HTTP/1\.[01])[^\S\n]*\n")
SPACED_EXTENSION = re.compile(rb"(?<=\r\n)([0-9A-Fa-f]+)([ \t]+;)")
EMPTY_LINES = re.compile(rb"\A[\r\n]+")


def _split(entries: str) -> list[bytes]:
    """Return the entries of a raw string, separated by `|` or line ends, without the escapes."""
    texts = re.split(r"[|\n]", entries.strip("\n"))
    return [text.encode().decode("unicode_escape").encode("latin-1") for text in texts]


METHODS = _split(r"GET|PUT|post|P\0ST|POST\t|CONNECT|")
TARGETS = _split(r"""
/explain|/explain|http://x/predict|HTTP://x/predict|http:///predict|//x/predict|/predict#x
/pre dict|/predict?\x80|/predict?\x7f|/predict?\0|*|x:443|
""")
VERSIONS = _split(r"""
HTTP/1.0|HTTP/1.0|HTTP/1.2|HTTP/2.0|HTTP/0.9|http/1.1|HTTP/1.1 |HTTP/01.1|HTTP/1.10|HTTP/1,1
HTTP/1|\tHTTP/1.1|HTTP/1.1\0|
""")
PREFIXES = _split(r"\r\n|\r\n\r\n|\n|\r| |\0|\r\n\r|x\r\n")
LINE_ENDS = _split(r"\n|\r|\r\r\n|\n\r\n|\0\r\n| \r\n|\x0b\r\n|\x85\r\n|")
# N is a number of bytes.
LENGTHS = _split(r"""
Content-Length: N|Content-Length:N|content-length: N|Content-Length:\tN |Content-Length : N
Content-Length\t: N| Content-Length: N|Content-Length: +N|Content-Length: -N|Content-Length: 0N
Content-Length: 0xN|Content-Length: N, N|Content-Length: N,|Content-Length: N 1
Content-Length: N.0|Content-Length: 0_N|Content-Length: N\0|Content-Length: \x0bN
Content-Length: N\x0c|Content_Length: N|Content-Length: |Content-Length: \xb2|Content-Length\0: N
Content-Length: "N"|Content-Length: N;|X: y\nContent-Length: N|X: y\rContent-Length: N
Content-Length:\r\n N|X: y\r\n Content-Length: N|Content-Length: 18446744073709551616N
Content-Length: N\xa0|\xa0Content-Length: N|Content-Length N
""")
CODINGS = _split(r"""
Transfer-Encoding: chunked|Transfer-Encoding:chunked|transfer-encoding: chunked
Transfer-Encoding: CHUNKED|Transfer-Encoding:\tchunked\t|Transfer-Encoding : chunked
Transfer-Encoding\t: chunked| Transfer-Encoding: chunked|Transfer-Encoding: xchunked
Transfer-Encoding: chunked, identity|Transfer-Encoding: identity, chunked
Transfer-Encoding: identity|Transfer-Encoding: chunked\0|Transfer-Encoding: \x0bchunked
Transfer-Encoding: chunked;q=1|Transfer-Encoding: "chunked"|Transfer-Encoding: gzip, chunked
Transfer-Encoding: chunked, chunked|Transfer_Encoding: chunked|Transfer-Encoding:\r\n chunked
X: y\nTransfer-Encoding: chunked|X: y\rTransfer-Encoding: chunked
Transfer-Encoding: |Transfer-Encoding: ,chunked|TE: chunked|Transfer-Encoding: chunked,
Transfer-Encoding: \xa0chunked
Transfer-Encoding\0: chunked|X: y\r\n Transfer-Encoding: chunked|Transfer-Encoding chunked
Transfer-Encoding: chunke\xfd
""")
OTHER_LINES = _split(r"""
Host: y|Host: x|Host: |Host: a b|Host : x|Connection: close|Connection: keep-alive
Connection: CLOSE|Connection: keep-alive, close|Connection: close, keep-alive|Connection: x, close
Connection:|Connection: Content-Length|Connection: Transfer-Encoding|Proxy-Connection: close
Connection: close\r\nConnection: keep-alive|Connection: keep-alive\r\nConnection: close
Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__
Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13
Expect: 100-continue|Expect: 100-Continue|Expect: 100-continue, x|Expect: |Expect: 100-continue\0
X: \x01|X: \0|X: \x7f|X: \xff|X\x80: y|X\x01: y|X y: z|X|:|: y|X:| X: y|\tX: y|X: y\r z|X : y
X: "\r|X-Forwarded-Proto: https|Trailer: Content-Length|Content-Encoding: identity|script_name: /x
""")
SIZES = _split(r"""
0N|000000000000000000N|N |N\t| N|N;a=b|N;a="b;c"|N;|N ;a|N;a = b|N;\0|N;a\rb|N;a\nb|0xN|+N|-N
N\0|N_|N,|N;a="\r\n"|ffffffffffffffff|1000000000000000N|N;\x80|N N|N;a=b;c|N;=|N;a;b="\\""|N.0|
""")
TRAILERS = _split(r"""
X: y\r\n|Content-Length: 5\r\n|Transfer-Encoding: chunked\r\n|X\r\n| x\r\n|X: y\n|X : y\r\n
X: \0\r\n|X: y\r|Content-Length: 0\r\n\r\n|Connection: close\r\n|X-Request-ID: trailer\r\n
Host: y\r\n|: y\r\n
""")


class Request(NamedTuple):
    """A request as h11 reads it.

    Attributes:
        request_id: its `X-Request-ID`, or `None` without a valid one.
        light: the first light of its body, or `None` if the body isn't that of a prediction.
    """

    request_id: bytes | None
    light: int | None


class Response(NamedTuple):
    """A response to a prediction.

    Attributes:
        status: its status.
        headers: its headers; their names are in lower case.
        score: the score, or `None` if it has none.
    """

    status: int
    headers: dict[bytes, bytes]
    score: float | None


def plain_request(request_id: bytes, light: int) -> bytes:
    """Return a valid request for a prediction."""
    body = PREDICTION % light
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nX-Request-ID: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (request_id, len(body)) + body


def mutated_requests(seed: int) -> bytes:
    """Return one to three pipelined requests, which have up to three mutations each."""
    random = Random(seed)  # noqa: S311 - the requests are no secret
    return b"".join(_request(random, b"%d.%d" % (seed, i), i) for i in range(random.randint(1, 3)))


def _request(random: Random, request_id: bytes, light: int) -> bytes:
    chunked = random.random() < 0.5
    mutations = random.choices(
        (_mutate_line, _mutate_field, _mutate_line_end, _mutate_byte, None),
        (2, 6, 1, 1, 4 if chunked else 0),
        k=random.choice((0, 0, 1, 1, 1, 2, 3)),
    )
    body = PREDICTION % light
    if chunked:
        body = _chunks(random, body, mutations.count(None))
    hidden = random.choice((b"", plain_request(request_id + b".hidden", light + 5)))
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    lines = [b"POST /predict HTTP/1.1", b"Host: x", b"X-Request-ID: " + request_id, framing, b""]
    lines = [line + b"\r\n" for line in lines]
    for mutate in mutations:
        if mutate is not None:
            mutate(random, lines, random.choice((len(body), len(body) + len(hidden), 0, 1)))
    return b"".join(lines) + body + hidden


def _mutate_line(random: Random, lines: list[bytes], _length: int) -> None:
    words, end = lines[0].rstrip().split(b" "), b"\r\n"
    part = random.randrange(5)
    if part == 3:
        words[0] = random.choice(PREFIXES) + words[0]
    elif part < 3:
        words[part % len(words)] = random.choice((METHODS, TARGETS, VERSIONS)[part])
    lines[0] = random.choice((b"  ", b"\t", b"") if part == 4 else (b" ",)).join(words) + end


def _mutate_field(random: Random, lines: list[bytes], length: int) -> None:
    line = random.choice(random.choice((LENGTHS, CODINGS, OTHER_LINES))) + b"\r\n"
    start = random.randrange(1, len(lines))
    end = start + (random.random() < 0.3 and start < len(lines) - 1)
    lines[start:end] = [line.replace(b"N", b"%d" % length)]


def _mutate_line_end(random: Random, lines: list[bytes], _length: int) -> None:
    at = random.randrange(len(lines))
    lines[at] = lines[at].removesuffix(b"\r\n") + random.choice(LINE_ENDS)


def _mutate_byte(random: Random, lines: list[bytes], _length: int) -> None:
    line = random.randrange(len(lines))
    at = random.randrange(len(lines[line]) + 1)
    inserted, removed = random.choice((b"", random.randbytes(1))), random.randrange(2)
    lines[line] = lines[line][:at] + inserted + lines[line][at + removed :]


def _chunks(random: Random, data: bytes, mutations: int) -> bytes:
    at = random.randrange(1, len(data))
    parts = [b"N", b"\r\n", data[:at], b"\r\n", b"N", b"\r\n", data[at:], b"\r\n"]
    parts += [b"0", b"\r\n", b"", b"\r\n"]
    sizes = {0: at, 4: len(data) - at, 8: 0}
    for _ in range(mutations):
        part = random.choice((0, 0, 4, 8, 1, 3, 5, 7, 9, 10, 10, 11))
        texts = SIZES if part in sizes else TRAILERS if part == 10 else LINE_ENDS
        parts[part] = random.choice(texts)
    for part, size in sizes.items():
        parts[part] = parts[part].replace(b"N", random.choice((b"%x", b"%X")) % size)
    return b"".join(parts)


def read_by_h11(data: bytes) -> list[Request]:
    """Return the complete requests in `data`, up to one that is malformed or ends the connection.

    h11 is stricter than RFC 9112 in four points, which are read here as the RFC allows:

    - Section 2.2: a server should ignore empty lines before a request.
    - Section 3: any whitespace may surround the words of the request line, also a bare CR.
    - Section 7.1.1: whitespace may precede the semicolon of a chunk extension.
    - Section 9.3: a connection of HTTP/1.0 persists with the connection option keep-alive.
    """
    data = SPACED_EXTENSION.sub(lambda match: match[1] + b";" * len(match[2]), data)
    requests = []
    while data := EMPTY_LINES.sub(b"", data):
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(SPACED_LINE.sub(rb"\1 \2 \3\r\n", data))
        connection.receive_data(b"")
        body = b""
        try:
            if not isinstance(head := connection.next_event(), h11.Request):
                break
            while isinstance(event := connection.next_event(), h11.Data):
                body += event.data
        except h11.RemoteProtocolError:
            break
        found = VALID_BODY.fullmatch(body)
        request_id = VALID_ID.fullmatch(dict(head.headers).get(b"x-request-id", b""))
        requests.append(Request(request_id and request_id[0], int(found[1]) if found else None))
        options = b",".join(value for name, value in head.headers if name == b"connection")
        persists = head.http_version == b"1.0" and PERSISTENT.fullmatch(options)
        if connection.their_state is h11.MUST_CLOSE and not persists:
            break
        data, _ = connection.trailing_data
    return requests


def read_responses(data: bytes) -> list[Response]:
    """Return the final responses in all bytes received from a connection.

    Proxies also send responses without Content-Length, which end with the connection, and those of
    HTTP/0.9, which have no head and are left out.
    """
    responses = []
    while data.startswith(b"HTTP/1."):
        head, _, data = data.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        status = int(line.split(b" ")[1])
        if status < 200:
            continue
        pairs = (field.split(b":", 1) for field in fields)
        headers = {name.lower(): value.strip() for name, value in pairs}
        length = int(headers.get(b"content-length", len(data)))
        found = re.search(rb'"score": ?([-0-9.e]+)', data[:length])
        responses.append(Response(status, headers, float(found[1]) if found else None))
        data = data[length:]
    return responses
