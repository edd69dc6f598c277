"""What is set for the whole process or thread, and a recorder must leave as it is."""

import gc
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import _get_current_function_mode_stack
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack


def surroundings() -> dict[str, Any]:
    """What is set for the whole process or thread."""
    return {
        "grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "autocast": [
            (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind))
            for kind in ("cpu", "cuda")
        ]
        + [torch.is_autocast_cache_enabled()],
        "modes": (
            len(_get_current_function_mode_stack()),
            len(_get_current_dispatch_mode_stack()),
            torch._C._is_torch_function_enabled(),
        ),
        "defaults": (torch.get_default_dtype(), torch.get_default_device()),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,
        ),
        "backends": (
            torch.backends.cudnn.enabled,
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.deterministic,
            torch.backends.mkldnn.enabled,
            torch.backends.mha.get_fastpath_enabled(),
            torch.get_float32_matmul_precision(),
        ),
        "autograd": (
            torch.is_anomaly_enabled(),
            torch._C._autograd._saved_tensors_hooks_is_enabled(),
            torch.is_warn_always_enabled(),
        ),
        "global hooks": [
            len(getattr(nn.modules.module, name))
            for name in dir(nn.modules.module)
            if name.startswith("_global_") and name.endswith("hooks")
        ],
        "stance": _stance(),
        "numpy": np.geterr(),
        "python": (
            gc.isenabled(),
            gc.get_threshold(),
            sys.gettrace() is None,
            sys.getprofile() is None,
            sys.getrecursionlimit(),
            Path.cwd(),
            {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"},
            signal.getsignal(signal.SIGINT),
        ),
    }


def _stance() -> Any:
    frame = sys.modules.get("torch._dynamo.eval_frame")
    return None if frame is None else frame._stance.stance
