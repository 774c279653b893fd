"""PyTorch and scikit-learn, trained as their own documentation shows; one line asks for one run.

Reads `{"who": …, "what": …}` line by line, and answers with the seconds that the run took. The data
and the start are those of `benchmarks.training`, from the file that is named as argument.
"""

import json
import sys
import time
import warnings

import numpy as np
import torch
from sklearn.neural_network import MLPRegressor

torch.set_num_threads(1)
warnings.filterwarnings("ignore", module="sklearn")  # that a single pass doesn't converge
data = np.load(sys.argv[1])


def pytorch(what: str, dtype: torch.dtype) -> float:
    """Train by autograd: a module, a loss, an optimizer, blocks that add up to a batch."""
    lights, outcomes, weights_0_1, weights_1_2 = (
        torch.tensor(data[f"{what}_{name}"], dtype=dtype)
        for name in ("lights", "walk_vs_stop", "weights_0_1", "weights_1_2")
    )
    passes, batch_size, block = map(int, data[f"{what}_how"][:3])
    alpha = float(data[f"{what}_how"][3])
    first = torch.nn.Linear(*weights_0_1.shape, bias=False, dtype=dtype)
    second = torch.nn.Linear(*weights_1_2.shape, bias=False, dtype=dtype)
    with torch.no_grad():
        first.weight.copy_(weights_0_1.T)
        second.weight.copy_(weights_1_2.T)
    network = torch.nn.Sequential(first, torch.nn.ReLU(), second)
    # Half the gradient of the squared error, averaged over the batch, is what ours goes by.
    optimizer = torch.optim.SGD(network.parameters(), lr=alpha / 2)
    start = time.perf_counter()
    for _ in range(passes):
        for begin in range(0, len(lights), batch_size):
            rows = min(batch_size, len(lights) - begin)
            optimizer.zero_grad()
            for at in range(begin, begin + rows, block):
                part = slice(at, min(at + block, begin + rows))
                error = ((network(lights[part])[:, 0] - outcomes[part]) ** 2).sum() / rows
                error.backward()
            optimizer.step()
    return time.perf_counter() - start


def scikit_learn(what: str) -> float:
    """Train a regressor of the same size, with the biases that it can't do without."""
    lights, outcomes = data[f"{what}_lights"], data[f"{what}_walk_vs_stop"]
    passes, batch_size = map(int, data[f"{what}_how"][:2])
    network = MLPRegressor(
        hidden_layer_sizes=(data[f"{what}_weights_0_1"].shape[1],),
        solver="sgd",
        alpha=0,
        batch_size=batch_size,
        learning_rate_init=float(data[f"{what}_how"][3]),
        max_iter=passes,
        n_iter_no_change=passes + 1,
        momentum=0,
        shuffle=False,
        random_state=0,
    )
    start = time.perf_counter()
    network.fit(lights, outcomes)
    return time.perf_counter() - start


WHO = {
    "PyTorch, float64": lambda what: pytorch(what, torch.float64),
    "PyTorch, float32": lambda what: pytorch(what, torch.float32),
    "scikit-learn": scikit_learn,
}

for line in sys.stdin:
    asked = json.loads(line)
    print(WHO[asked["who"]](asked["what"]), flush=True)
