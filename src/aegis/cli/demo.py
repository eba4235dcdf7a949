"""`aegis demo`: the five-minute tour, told in the terminal with the web page beside it.

Database, keys, cluster, engine, executor, controller and API are the real ones in a directory that is deleted
afterwards; only time is the tour's own. Every claim of a chapter is checked, and one that does not hold is exit code 1.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aegis.kit.errors import Unavailable

if TYPE_CHECKING:
    from aegis.cli.rehearsal import Rehearsal
    from aegis.cli.tour.chapter import Chapter, Outcome
    from aegis.cli.tour.narrator import Narrator
    from aegis.cli.tour.people import People
    from aegis.cli.tour.scene import Scene

HOST, PORT = "127.0.0.1", 3000
SCRAPE_SECONDS = 10.0
EPILOG = "Exit codes: 0 everything went as told · 1 a chapter did not · 7 something needed did not answer."


def register(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(demo)


def demo(
    seed: Annotated[int, typer.Option(help="The same seed tells the same story, to the id and the second.")] = 7,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The web page. Default: 3000, or a free one where it is taken.")
    ] = None,
    no_pause: Annotated[bool, typer.Option("--no-pause", help="Run through without waiting for Enter.")] = False,
    keep: Annotated[
        bool | None,
        typer.Option("--keep/--no-keep", help="Stay with the page up until Ctrl-C. Default: where it pauses."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document of what happened instead.")] = False,
) -> None:
    """The tour: four chapters in a simulated cluster, on this machine alone, with no network.

    1. A leak is found, explained, approved, fixed, and measured to have helped.
    2. A wrong fix is measured to harm and undone by itself; the specs before and after are identical.
    3. A storm of 40 alerts: few actions run, each refusal names its budget, a genuine fault is still fixed.
    4. One row of the audit log is edited, and a tool without any Aegis says which.

    Nothing of yours is touched: everything lives in a temporary directory and is deleted at the end.
    """
    reads_along = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
    pauses = reads_along and not no_pause
    stays = pauses if keep is None else keep
    _quiet_libraries()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends it, the directory is removed

    from rich.console import Console

    from aegis.cli.tour.narrator import Narrator

    console = Console(highlight=False, quiet=as_json)
    narrator = Narrator(console, pauses=pauses)
    outcomes: list[Outcome] = []
    try:
        with _home() as home, _scene(home, seed, port, narrator) as scene:
            outcomes = _tell_all(scene)
            _closing(scene, outcomes, stays=stays)
            if as_json:
                _print_json(seed, outcomes)
            if stays:
                _stay(scene.system)
    except KeyboardInterrupt:
        if not outcomes:
            raise typer.Exit(130) from None
    if not all(outcome.passed for outcome in outcomes):
        raise typer.Exit(1)


# --- the chapters ----------------------------------------------------------------------------------------------------


def _tell_all(scene: Scene) -> list[Outcome]:
    """Every chapter in order; a story that departed is not told on."""
    from aegis.cli.tour import leak, storm, tampering, wrong_fix

    chapters = (leak.CHAPTER, wrong_fix.CHAPTER, storm.CHAPTER, tampering.CHAPTER)
    outcomes: list[Outcome] = []
    for number, chapter in enumerate(chapters, start=1):
        scene.narrator.pause(f"Enter begins chapter {number} of {len(chapters)}.")
        scene.narrator.heading(f"{number} of {len(chapters)} · {chapter.title}")
        scene.narrator.say(chapter.promise)
        outcomes.append(_tell(scene, number, chapter))
        if outcomes[-1].departed:
            break
    return outcomes


def _tell(scene: Scene, number: int, chapter: Chapter) -> Outcome:
    from aegis.cli.tour.chapter import Outcome, Told
    from aegis.cli.tour.scene import Departed

    told, departed = Told({}, []), None
    scene.lines = []
    try:
        told = chapter.tell(scene)
    except Departed as error:
        departed = error.message
    scene.leave()
    claims = [(claim.held, claim.sentence) for claim in told.claims]
    scene.narrator.result(claims if departed is None else [(False, f"the story was broken off: {departed}")])
    return Outcome(number, chapter.title, told, scene.lines, departed)


def _print_json(seed: int, outcomes: list[Outcome]) -> None:
    document = {
        "seed": seed,
        "passed": all(outcome.passed for outcome in outcomes),
        "chapters": [outcome.document() for outcome in outcomes],
    }
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


# --- around them -----------------------------------------------------------------------------------------------------


@contextmanager
def _home() -> Iterator[Path]:
    """A directory for everything, which the database's user may enter too, gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="aegis-demo-"))
    home.chmod(0o711)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _scene(home: Path, seed: int, port: int | None, narrator: Narrator) -> Iterator[Scene]:
    """The whole system, started and trained, with its people; stopped afterwards."""
    from aegis.cli.rehearsal import Plan, Rehearsal
    from aegis.cli.tour import people
    from aegis.cli.tour.scene import Scene
    from aegis.controller.loop import Timing
    from aegis.executor.cluster import KubernetesCluster
    from aegis.storage.embedded import EmbeddedPostgres

    page_port = _port_for(port)  # a taken one is told at once
    narrator.heading(f"Aegis: the five-minute tour, seed {seed}")
    narrator.say(
        "Everything runs on this machine: a real PostgreSQL, the four processes, and a simulated cluster with a small "
        "shop in it, behind the protocols of Kubernetes and Prometheus. The clock is the tour's own, in UTC."
    )
    system_home = home / "system"
    system_home.mkdir(mode=0o700)
    server = EmbeddedPostgres(home / "pg", durable=False)
    with narrator.working("starting PostgreSQL"):
        server.start()
    try:
        urls = server.create_database("aegis"), server.create_database("aegis_executor")
        with narrator.working("starting the cluster and the processes"):
            system = Rehearsal(
                system_home,
                *urls,
                Plan(seed=seed, interval=SCRAPE_SECONDS, timing=Timing(verify_every=timedelta(seconds=SCRAPE_SECONDS))),
            )
        with system:
            _learn(system, narrator)
            system.open_api(page_port)
            met = people.meet(system)
            cluster = KubernetesCluster(system_home / "admin.kubeconfig")
            try:
                _introduce(system, met, narrator)
                yield Scene(system, met, cluster, narrator)
            finally:
                cluster.close()
                met.close()
    finally:
        server.stop()


def _learn(system: Rehearsal, narrator: Narrator) -> None:
    """Fit the models of the shop, with a bar where there is a terminal."""
    from rich.progress import BarColumn, Progress, TextColumn

    total = sum(service.namespace == "shop" for service in system.sandbox.services)
    words = f"learning six hours of ordinary life of {total} services"
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:g} of {task.total:g}")
    live = narrator.console.is_terminal
    if not live:
        narrator.say(f"  {words} ...")
    with ThreadPoolExecutor(1) as pool, Progress(*columns, console=narrator.console, disable=not live) as bar:
        task, training = bar.add_task(words, total=total), pool.submit(system.train, "shop")
        while True:
            try:
                training.result(timeout=0.1)
            except NotYet:
                bar.update(task, completed=system.learned)
            else:
                bar.update(task, completed=system.learned)
                return


def _port_for(asked: int | None) -> int:
    """The port asked for; without one 3000, or 0 for a free one where that is taken. Raises `Unavailable`."""
    from aegis.kit.serving import bind

    try:
        bind(HOST, PORT if asked is None else asked).close()
    except Unavailable:
        if asked is not None:
            raise
        return 0
    return PORT if asked is None else asked


def _introduce(system: Rehearsal, met: People, narrator: Narrator) -> None:
    from aegis.cli.tour.people import ADA

    system.advance(60)
    narrator.say(f"The page beside this terminal: {system.api_url}\nLog in as {ADA} with the password {met.password}")


def _closing(scene: Scene, outcomes: list[Outcome], *, stays: bool) -> None:
    told, good = len(outcomes), sum(outcome.passed for outcome in outcomes)
    narrator = scene.narrator
    narrator.heading(f"{good} of {told} chapters went as told")
    lines = ["aegis up", "    the same, to stay: your own data directory, the real clock, the page on port 3000"]
    if stays:
        url = scene.system.sandbox_url
        lines += [f"aegis sandbox fault start bad_rollout --url {url}", "    break something here, and watch the page"]
        lines += [f"aegis login --url {scene.system.api_url}", "    then aegis status, aegis incidents, aegis why …"]
    lines += ["aegis detect FILE", "    find what is unusual in a table of your own, and why"]
    lines += ["aegis demo --seed 8", "    the same chapters in another world"]
    narrator.say("\n".join(["Try next:", *(f"  {line}" for line in lines)]))


def _stay(system: Rehearsal) -> None:
    """Until Ctrl-C, with the tour's clock now as fast as the machine's."""
    sys.stderr.write(f"Staying with {system.api_url} until Ctrl-C; from here on the clock runs as yours does.\n")
    sys.stderr.flush()
    while True:
        time.sleep(system.sandbox.interval)
        system.advance(system.sandbox.interval)


def _quiet_libraries() -> None:
    """Sums in one order whatever the machine, so that a seed tells one story; and only errors are logged."""
    import logging

    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    import structlog

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
