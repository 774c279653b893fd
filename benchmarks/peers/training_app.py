"""Training by PyTorch and scikit-learn, as their own documentation shows it.

For each input line `{"library": …, "run": …}` the program trains once and prints the seconds. The
data and the initial weights are read from the file that is the argument, which
`benchmarks.training` writes.
"""

import json
import sys
import time
import warnings

import numpy as np
import torch
from sklearn.neural_network import MLPRegressor

torch.set_num_threads(1)
warnings.filterwarnings("ignore", module="sklearn")  # one pass doesn't converge
data = np.load(sys.argv[1])


def pytorch(run: str, dtype: torch.dtype) -> float:
    """Train with autograd and SGD, accumulating each batch in blocks, and return the seconds."""
    lights, outcomes, weights_0_1, weights_1_2 = (
        torch.tensor(data[f"{run}_{name}"], dtype=dtype)
        for name in ("lights", "walk_vs_stop", "weights_0_1", "weights_1_2")
    )
    passes, batch_size, block = map(int, data[f"{run}_options"][:3])
    alpha = float(data[f"{run}_options"][3])
    first = torch.nn.Linear(*weights_0_1.shape, bias=False, dtype=dtype)
    second = torch.nn.Linear(*weights_1_2.shape, bias=False, dtype=dtype)
    with torch.no_grad():
        first.weight.copy_(weights_0_1.T)
        second.weight.copy_(weights_1_2.T)
    network = torch.nn.Sequential(first, torch.nn.ReLU(), second)
    # Our step is half the gradient of the squared error, averaged over the batch.
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


def scikit_learn(run: str) -> float:
    """Train a regressor of the same size, which also has biases, and return the seconds."""
    lights, outcomes = data[f"{run}_lights"], data[f"{run}_walk_vs_stop"]
    passes, batch_size = map(int, data[f"{run}_options"][:2])
    network = MLPRegressor(
        hidden_layer_sizes=(data[f"{run}_weights_0_1"].shape[1],),
        solver="sgd",
        alpha=0,
        batch_size=batch_size,
        learning_rate_init=float(data[f"{run}_options"][3]),
        max_iter=passes,
        n_iter_no_change=passes + 1,
        momentum=0,
        shuffle=False,
        random_state=0,
    )
    start = time.perf_counter()
    network.fit(lights, outcomes)
    return time.perf_counter() - start


LIBRARIES = {
    "PyTorch, float64": lambda run: pytorch(run, torch.float64),
    "PyTorch, float32": lambda run: pytorch(run, torch.float32),
    "scikit-learn": scikit_learn,
}

for line in sys.stdin:
    request = json.loads(line)
    print(LIBRARIES[request["library"]](request["run"]), flush=True)
