"""A count of its own of what was forwarded, to hold a run against."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import huelapse
from conftest import batches
from huelapse import Recorder

N = 24
"""Samples of a window."""

X, Y = batches(96, seed=1)
Y = Y[torch.randperm(96, generator=torch.Generator().manual_seed(0))]


class Truth:
    """A recorder, and beside it a count of its own of what was forwarded in its windows."""

    def __init__(self, place: Path, model: nn.Module, **options: Any) -> None:
        self.classes = options.get("classes", 3)
        self.size = options.setdefault("window", N)
        options = {"classes": 3, "window_schedule": 1, "strict": True} | options
        self.recorder = Recorder(model, place, **options)
        self.labels: list[Tensor] = []
        self.outputs: list[Tensor] = []

    def forward(
        self,
        call: Callable[..., Any],
        *inputs: Any,
        labels: Tensor,
        counts: bool = True,
        **known: Any,
    ) -> Any:
        """A forward in a window; counted here too, unless it is known that it is not to be."""
        with self.recorder.window(labels, **known):
            output = call(*inputs)
        if counts:
            self.note(labels, output)
        return output

    def note(self, labels: Tensor, output: Any) -> None:
        output = output["logits"] if isinstance(output, dict) else output
        self.labels.append(labels.clone())
        self.outputs.append(output.detach().float().clone())

    def train(self, call: Callable[..., Any], model: nn.Module, *parts: Tensor) -> None:
        """A plain training over (inputs …, labels) in batches of 16."""
        optimizer = torch.optim.SGD(model.parameters(), 0.05)
        for *inputs, labels in zip(*(part.split(16) for part in parts), strict=True):
            output = self.forward(call, *inputs, labels=labels)
            output = output["logits"] if isinstance(output, dict) else output
            optimizer.zero_grad()
            F.cross_entropy(output.float(), labels).backward()
            optimizer.step()
            self.recorder.step()

    def check(self, windows: int | None = None) -> huelapse.Run:
        """Every window holds exactly the samples it must, by true and by predicted class, and the
        output's mean response to each is what the forwards gave."""
        self.recorder.close()
        run = huelapse.open(self.recorder.run)
        assert run.facts["gaps"] == []
        labels, outputs = torch.cat(self.labels).numpy(), torch.cat(self.outputs)
        responses, predicted = outputs.softmax(1).double().numpy(), outputs.argmax(1).numpy()
        found = len(run.coordinate("step", "train"))
        assert found == (len(labels) // self.size if windows is None else windows)
        assert found > 0
        for i in range(found):
            own = slice(i * self.size, (i + 1) * self.size)
            for grouping, row in (("true", labels[own]), ("predicted", predicted[own])):
                moments = run.moments(i, grouping, "train")
                known = row[row >= 0]
                np.testing.assert_array_equal(moments.count, np.bincount(known, minlength=3))
                layer = run.layers[-1]
                mean = moments.mean[:, layer.offset : layer.offset + layer.units]
                for k in np.unique(known):
                    expected = responses[own][row == k].mean(0)
                    np.testing.assert_allclose(mean[k], expected, atol=1e-6)
        return run
