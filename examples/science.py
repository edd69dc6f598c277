"""Six questions about selectivity, asked of the demo's network with several seeds.

    python examples/science.py runs/science            # trains what is not there yet, then answers
    python examples/science.py runs/science --seeds 5 --steps 800

Writes answers.json and pictures beside the runs; docs/science/README.md is written from them.

Nets: `plain` (BatchNorm, true labels), `no norm` (BatchNorm left out), `half random` (half of the
training labels drawn anew), each seed with weights and an order of images of its own, the same probe of
2,000 held-out images with their true labels.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

import huelapse
from huelapse import geometry
from huelapse.capture.schedule import spread
from huelapse.comparing import group
from huelapse.demo.model import FashionNet
from huelapse.demo.training import BATCH, Data, load_data

KINDS = ("plain", "no norm", "half random")
ABLATED_AT = (0.0625, 0.25, 1.0)
"""Shares of the training at which units are ablated."""

ABLATED_LAYERS = ("conv3.2", "fc1.1", "fc2.1")
UNITS = 24
"""Units of a layer that are ablated one by one, evenly spaced among those tuned."""


def without_norm(model: nn.Module) -> nn.Module:
    for name, child in model.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(model, name, nn.Identity())
        else:
            without_norm(child)
    return model


def train(out: Path, kind: str, seed: int, steps: int, data: Data) -> None:
    """Train one net, recorded densely; its weights are saved where units will be ablated."""
    torch.manual_seed(seed)
    labels = data.train_labels.clone()
    if kind == "half random":
        some = torch.randperm(len(labels))[: len(labels) // 2]
        labels[some] = torch.randint(0, 10, (len(some),))
    model: nn.Module = FashionNet()
    if kind == "no norm":
        model = without_norm(model)
    # without normalisation the demo's rate diverges
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.02 if kind == "no norm" else 0.05, momentum=0.9, weight_decay=5e-4
    )
    recorder = huelapse.Recorder(
        model, out, probe=(data.test_images, data.test_labels), classes=data.classes,
        schedule=spread(steps, 25), probe_budget=None, config={"kind": kind, "seed": seed},
    )  # fmt: skip
    saved = {round(share * steps) for share in ABLATED_AT}
    with recorder:
        step = 0
        while step < steps:
            for part in torch.randperm(len(labels)).split(BATCH):
                loss = nn.functional.cross_entropy(model(data.train_images[part]), labels[part])
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                step += 1
                recorder.step(loss=loss)
                if step in saved:
                    torch.save(model.state_dict(), out / f"weights-{step}.pt")
                if step == steps:
                    break


# --- questions ---------------------------------------------------------------------------------------


def interval(values: list[float]) -> dict[str, float]:
    """Mean over seeds, half of its 95 % interval (Student)."""
    found = np.array(values, np.float64)
    half = stats.t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found))
    return {"mean": float(found.mean()), "half": float(half), "seeds": len(found)}


def by_depth(runs: list[huelapse.Run], measure: str) -> dict[str, Any]:
    found = group(runs, measure=measure)
    return {
        path: {"mean": float(found.strength[-1, i]), "half": float(found.strength_half[-1, i])}
        for i, path in enumerate(found.layers)
    }


def over_training(runs: list[huelapse.Run]) -> dict[str, Any]:
    """Of each layer: share tuned at step 0, at its greatest, at the end, and when it was greatest."""
    found: dict[str, Any] = {}
    for i, layer in enumerate(runs[0].layers):
        tuned = [run.curves().tuned[:, i] for run in runs]
        steps = runs[0].steps
        found[layer.path] = {
            "first": interval([float(t[0]) for t in tuned]),
            "greatest": interval([float(t.max()) for t in tuned]),
            "greatest_at": interval([float(steps[int(t.argmax())]) for t in tuned]),
            "last": interval([float(t[-1]) for t in tuned]),
            "receded": interval([float(t.max() - t[-1]) for t in tuned]),
        }
    return found


def hidden_mean(runs: list[huelapse.Run], measure: str) -> dict[str, float]:
    """Mean strength over hidden units at the end."""
    hidden = np.concatenate([np.full(layer.units, not layer.output) for layer in runs[0].layers])
    return interval([float(np.nanmean(run.strength(measure=measure)[hidden])) for run in runs])


def ablations(runs: list[huelapse.Run], steps: int, data: Data) -> dict[str, Any]:
    """What setting one tuned unit to 0 takes from its class's recall, and from the others' mean."""
    found: dict[str, Any] = {}
    for share in ABLATED_AT:
        step = round(share * steps)
        for path in ABLATED_LAYERS:
            own: list[float] = []
            others: list[float] = []
            for run in runs:
                damages = list(_damages(run, path, step, data))
                if damages:
                    own.append(float(np.mean([d[0] for d in damages])))
                    others.append(float(np.mean([d[1] for d in damages])))
            if len(own) >= 2:
                found[f"{path} at {step}"] = {"own": interval(own), "others": interval(others)}
    return found


def _damages(run: huelapse.Run, path: str, step: int, data: Data) -> Iterator[tuple[float, float]]:
    nearest = int(run.steps[np.abs(run.steps - step).argmin()])
    state = run.state(nearest, path)
    tuned = np.flatnonzero(state == huelapse.State.TUNED)
    if len(tuned) == 0:
        return
    some = tuned[np.linspace(0, len(tuned) - 1, min(len(tuned), UNITS)).astype(int)]
    preferred = run.preferred(nearest, path)
    model = FashionNet()
    model.load_state_dict(torch.load(run.path / f"weights-{step}.pt", weights_only=True))
    model.eval()
    images, labels = data.test_images[:1000], data.test_labels[:1000]
    before = _recalls(model, images, labels)
    module = model.get_submodule(path)
    for unit in some.tolist():

        def silence(_: nn.Module, __: Any, out: Tensor, unit: int = unit) -> Tensor:
            out = out.clone()
            out[:, unit] = 0
            return out

        handle = module.register_forward_hook(silence)
        lost = before - _recalls(model, images, labels)
        handle.remove()
        k = int(preferred[unit])
        yield float(lost[k]), float(np.delete(lost, k).mean())


@torch.no_grad()
def _recalls(model: nn.Module, images: Tensor, labels: Tensor) -> np.ndarray:
    predicted = torch.cat([model(part).argmax(1) for part in images.split(500)])
    return np.array([float((predicted[labels == k] == k).float().mean()) for k in range(10)])


def against_directions(runs: list[huelapse.Run]) -> dict[str, Any]:
    """Mean strength of units and of random directions of the same space, both read as signed."""
    found: dict[str, Any] = {}
    for path in ABLATED_LAYERS:
        controls = [geometry.special(run, path) for run in runs]
        found[path] = {
            "units": interval([c.units for c in controls]),
            "rotated": interval([float(c.rotated.mean()) for c in controls]),
            "above_share": float(np.mean([c.above for c in controls])),
        }
    return found


def collapse(runs: list[huelapse.Run]) -> dict[str, Any]:
    """CDNV of fc2 at the first and the last snapshot; decoding by a linear probe at the last."""
    found = [geometry.collapse(run, "fc2.1", steps=[0, int(run.steps[-1])]) for run in runs]
    decoded = [geometry.decoded(run, "fc2.1", steps=[int(run.steps[-1])])[0] for run in runs]
    return {
        "cdnv_first": interval([float(f["cdnv"][0]) for f in found]),
        "cdnv_last": interval([float(f["cdnv"][1]) for f in found]),
        "linear_last": interval([d.linear for d in decoded]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    arguments = parser.parse_args()
    out, steps = arguments.out, arguments.steps
    data = load_data()
    for kind in KINDS:
        for seed in range(arguments.seeds):
            place = out / f"{kind.replace(' ', '-')}-{seed}"
            if not place.exists():
                print(f"training {kind}, seed {seed} …", flush=True)
                train(place, kind, seed, steps, data)
    runs = {
        kind: [
            huelapse.open(out / f"{kind.replace(' ', '-')}-{seed}")
            for seed in range(arguments.seeds)
        ]
        for kind in KINDS
    }
    plain = runs["plain"]
    questions: dict[str, Callable[[], Any]] = {
        "accuracy": lambda: {k: interval([float(r.accuracy()[-1]) for r in v])
                             for k, v in runs.items()},
        "by depth": lambda: {m: by_depth(plain, m) for m in ("margin", "class_selectivity")},
        "over training": lambda: over_training(plain),
        "norm": lambda: {k: {m: hidden_mean(runs[k], m) for m in ("margin", "class_selectivity")}
                         for k in ("plain", "no norm")},
        "half random": lambda: {k: {m: hidden_mean(runs[k], m)
                                    for m in ("margin", "class_selectivity")}
                                for k in ("plain", "half random")},
        "ablation": lambda: ablations(plain, steps, data),
        "directions": lambda: against_directions(plain),
        "collapse": lambda: {k: collapse(v) for k, v in runs.items()},
    }  # fmt: skip
    answers: dict[str, Any] = {"seeds": arguments.seeds, "steps": steps}
    for name, ask in questions.items():
        print(f"asking: {name}", flush=True)
        answers[name] = ask()
    (out / "answers.json").write_text(json.dumps(answers, indent=1))
    for kind, own in runs.items():
        own[0].plot.kymograph("fc1.1").savefig(out / f"{kind.replace(' ', '-')}.png", dpi=150)
    print(f"answers in {out / 'answers.json'}")


if __name__ == "__main__":
    main()
