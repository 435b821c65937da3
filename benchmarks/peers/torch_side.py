"""The PyTorch process of a comparison: builds networks and times passes as it is told, line by line, in JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch_network import torch_network

FORMS = ("eager", "channels_last", "compile")


def build(folder: str, form: str, train: bool) -> tuple[Callable[[], Any], float]:
    """One pass of a network as a function, and its largest relative error against MXNet's scores.

    Parameters
    ----------
    folder : str
        Holds ``symbol.json``, ``params.npz``, ``images.npy``, ``scores.npy`` and, for training, ``labels.npy``.
    form : {"eager", "channels_last", "compile"}
        How PyTorch runs it; compiled networks have channels last, too.
    train : bool
        A whole training step: forward, cross entropy, backward, SGD with momentum.
    """
    place = Path(folder)
    symbol, x = json.loads((place / "symbol.json").read_text()), torch.from_numpy(np.load(place / "images.npy"))
    network = torch_network(symbol["nodes"], symbol["heads"], dict(np.load(place / "params.npz"))).eval()
    if form != "eager":
        network, x = network.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    wanted = np.load(place / "scores.npy")
    with torch.inference_mode():
        error = float(np.abs(network(x).numpy() - wanted).max() / np.abs(wanted).max())
    run = torch.compile(network) if form == "compile" else network
    return (_training(network, run, x, place) if train else _inference(run, x)), error


def _inference(run: Callable, x: torch.Tensor) -> Callable[[], Any]:
    def step() -> torch.Tensor:
        with torch.inference_mode():
            return run(x)

    return step


def _training(network: nn.Module, run: Callable, x: torch.Tensor, place: Path) -> Callable[[], Any]:
    network.train()
    labels, loss = torch.from_numpy(np.load(place / "labels.npy")).long(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        value = loss(run(x), labels)
        value.backward()
        optimizer.step()
        return value.item()

    return step


def main() -> None:
    """Answer until the input ends."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    passes: dict[str, Callable[[], Any]] = {}
    for line in sys.stdin:
        order, answer = json.loads(line), {"version": torch.__version__}
        try:
            if order["do"] == "build":
                passes[order["name"]], answer["error"] = build(order["folder"], order["form"], order["train"])
            elif order["do"] == "pass":
                start = time.perf_counter()
                passes[order["name"]]()
                answer["seconds"] = time.perf_counter() - start
            else:
                passes.clear()
        except Exception as failure:  # told to the other process, which decides
            answer["failure"] = f"{type(failure).__name__}: {failure}"
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
