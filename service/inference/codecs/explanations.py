"""Encode explanations, and state what they cost.

The weights, which are the same for all light states, are in a response once. They are encoded row
by row, so that the other threads run in between.
"""

from collections.abc import Iterator

from pydantic_core import to_json

from streetlight.model.network import Network
from streetlight.model.registry.version import Version
from streetlight.service.inference.codecs.batch_json import NUMBER_BYTES
from streetlight.service.inference.result import Result

# An explanation takes as long as so many multiplications, besides those of its scores.
ROW_MULTIPLICATIONS = 100_000
# The names, and the node's state, in bytes.
ROW_BYTES = 600
NODE_BYTES = NUMBER_BYTES + 6


def multiplications(version: Version) -> int:
    """Return the multiplications for one light state: a score for each change of a light."""
    network = version.network
    return ROW_MULTIPLICATIONS + (2 * network.light_count + 4) * network.weight_count


def response_bytes(rows: int, version: Version) -> int:
    """Return the largest size of the explanations of `rows` light states, with the weights."""
    network = version.network
    nodes = sum(network.hidden_sizes) + 2 * network.light_count
    weights = NUMBER_BYTES * network.weight_count
    return rows * (ROW_BYTES + nodes * NODE_BYTES) + weights + ROW_BYTES


def encode_rows(result: Result) -> Iterator[bytes]:
    """Yield the explanation of each light state, without the weights."""
    return map(to_json, result.explain())


def encode_weights(network: Network) -> bytes:
    """Return the weight matrices by name."""
    return b"{%s}" % b",".join(
        b'"%s":[%s]' % (name.encode(), b",".join([to_json(row.tolist()) for row in matrix]))
        for name, matrix in network.named_weights.items()
    )
