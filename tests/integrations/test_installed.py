"""Libraries that are there, are not there, or are broken; other names; other processes."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from trainings import forwarded

import huelapse
from huelapse.errors import MissingExtraError

HERE = Path(__file__).parent


class Absent:
    """Finds these libraries nowhere."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def find_spec(self, name: str, *_: object) -> None:
        if name in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def imported_anew(name: str, monkeypatch: pytest.MonkeyPatch, *absent: str) -> ModuleType:
    """An adapter, as if these libraries were not installed, and no other was loaded yet."""
    for loaded in list(sys.modules):
        if loaded.partition(".")[0] in ("lightning", *absent):
            monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.delitem(sys.modules, f"huelapse.integrations.{name}", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Absent(*absent), *sys.meta_path])
    return importlib.import_module(f"huelapse.integrations.{name}")


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingExtraError, match=r"huelapse\[lightning\]"):
        imported_anew("lightning", monkeypatch, "lightning", "pytorch_lightning")
    with pytest.raises(MissingExtraError, match=r"huelapse\[transformers\]"):
        imported_anew("transformers", monkeypatch, "transformers")


def test_without_one_lightning_the_other_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    other = ModuleType("pytorch_lightning")
    other.Callback = type("Callback", (), {})
    monkeypatch.setitem(sys.modules, "pytorch_lightning", other)
    adapter = imported_anew("lightning", monkeypatch, "lightning")
    assert issubclass(adapter.HuelapseCallback, other.Callback)


@pytest.mark.parametrize(
    ("name", "missing"), [("lightning", "torchmetrics"), ("transformers", "tokenizers")]
)
def test_a_broken_library_does_not_pass_for_an_absent_one(
    name: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] == "transformers"]:
        monkeypatch.delitem(sys.modules, loaded)
    with pytest.raises(ModuleNotFoundError, match=missing) as caught:
        imported_anew(name, monkeypatch, missing)
    assert not isinstance(caught.value, MissingExtraError)


def in_a_process(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_neither_huelapse_nor_its_recorder_loads_any_of_these_libraries() -> None:
    names = {"lightning", "pytorch_lightning", "transformers", "accelerate"}
    code = f"import sys, huelapse; huelapse.Recorder; print({names!r} & set(sys.modules))"
    assert in_a_process("-c", code).strip() == "set()"


PYTORCH_LIGHTNING = """
import sys, torch, pytorch_lightning
from huelapse.integrations.lightning import Callback, HuelapseCallback

class Module(pytorch_lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 3))
    def training_step(self, batch, _):
        return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

torch.manual_seed(0)
data = torch.utils.data.TensorDataset(torch.randn(32, 4), torch.arange(32) % 3)
callback = HuelapseCallback(
    sys.argv[1], classes=3, model="net", probe=data, window=8, window_schedule=1, strict=True
)
trainer = pytorch_lightning.Trainer(
    max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
    enable_progress_bar=False, enable_model_summary=False, callbacks=callback,
)
trainer.fit(Module(), torch.utils.data.DataLoader(data, 8))
assert issubclass(HuelapseCallback, pytorch_lightning.Callback)
assert "lightning" not in sys.modules
"""


def test_a_program_that_uses_pytorch_lightning_by_its_old_name_is_recorded(tmp_path: Path) -> None:
    in_a_process("-c", PYTORCH_LIGHTNING, str(tmp_path / "run"))
    run = huelapse.open(tmp_path / "run")
    assert run.status == "complete"
    assert forwarded(run) == 32


RANKS = """
import sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from trainings import HuelapseCallback, Module, by_lightning, convnet, loader, pairs

if __name__ == "__main__":
    place = Path(sys.argv[1])
    callback = HuelapseCallback(
        place / "run", classes=3, probe=0, record_validation=True, window=32, window_schedule=1,
        schedule=2, probe_budget=None, strict=True,
    )
    data = loader(pairs(64, 1))
    by_lightning(
        Module(convnet()), data, callback, val=loader(pairs(30, 2)), strategy="ddp_spawn", devices=2
    )
"""


@pytest.mark.slow
def test_ranks_of_a_distributed_fit_record_one_run(tmp_path: Path) -> None:
    """Two processes that import everything: half a minute."""
    script = tmp_path / "script.py"
    script.write_text(RANKS)
    in_a_process(str(script), str(tmp_path), str(HERE), str(HERE.parent))
    run = huelapse.open(tmp_path / "run")
    assert [split.name for split in run.splits] == ["val", "train", "validation"]
    assert run.steps.tolist() == [0, 2, 4]
    assert run.moments(0, "true", "val").count.sum() == 30  # one rank probes, for all
    assert run.status == "complete"
    assert forwarded(run, "train") == 64
    assert forwarded(run, "validation") == 30
    assert run.incomplete("train") == run.incomplete("validation") == ()
