"""Functions by name, as other processes find them: `package.module:function`, `file.py:function`."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from huelapse.errors import FactoryError

Named = str | Callable[..., Any]
"""A function, or where one stands."""


def name_of(function: Any) -> str | None:
    """Where other processes find a function; None where they cannot: inside another function, a
    lambda, or typed at a prompt."""
    if isinstance(function, str):
        return function
    module = getattr(function, "__module__", None)
    path = getattr(function, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(path, str) or "<" in path:
        return None
    loaded = sys.modules.get(module)
    if module != "__main__":
        return f"{module}:{path}" if _at(loaded, path) is function else None
    spec = getattr(loaded, "__spec__", None)  # python -m package.module
    if spec is not None:
        return f"{spec.name}:{path}"
    file = getattr(loaded, "__file__", None)
    return f"{Path(file).absolute()}:{path}" if file and Path(file).is_file() else None


def find(named: Named, what: str) -> Callable[..., Any]:
    """The function of a name; one that is given as it is comes back.

    Args:
        named: of it.
        what: it is for, in messages: "model".

    Raises:
        FactoryError: there is none, or its module cannot be imported.
    """
    if callable(named):
        return named
    where, colon, path = named.rpartition(":")
    if not colon or not where or not path:
        raise FactoryError(
            f"{what} is {named!r}, expected package.module:function, or file.py:function"
        )
    try:
        module = _from_file(Path(where)) if where.endswith(".py") else _imported(where)
    except Exception as error:
        raise FactoryError(
            f"{what}: {where} cannot be imported: {type(error).__name__}: {error}. Run the command "
            f"where `python -c 'import {Path(where).stem}'` works"
        ) from error
    found = _at(module, path)
    if not callable(found):
        known = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise FactoryError(
            f"{what}: {where} has no function {path!r}; it has {', '.join(known[:8]) or 'none'}"
        )
    return found


def call(named: Named, what: str, *arguments: Any) -> Any:
    """What a function of the user's gives.

    Raises:
        FactoryError: as `find`, or it raised: its own error is the cause.
    """
    function = find(named, what)
    try:
        return function(*arguments)
    except Exception as error:
        told = name_of(function) or getattr(function, "__name__", "function")
        raise FactoryError(f"{what}: {told} raised {type(error).__name__}: {error}") from error


def _at(module: Any, path: str) -> Any:
    found = module
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def _imported(name: str) -> ModuleType:
    here = str(Path.cwd())
    if "" not in sys.path and here not in sys.path:  # as `python -m` does
        sys.path.insert(0, here)
    return importlib.import_module(name)


def _from_file(path: Path) -> ModuleType:
    path = path.absolute()
    main = sys.modules.get("__main__")
    script = getattr(main, "__file__", None)
    if main is not None and script and Path(script).absolute() == path:
        return main  # the script itself: once is enough
    name = f"huelapse_file_{path.stem}"
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(path):
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:  # as running it would
        sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
