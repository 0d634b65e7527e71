"""The servers of `contract/servers.py` behind the seam of the backends, so that whole windows meet their behaviour."""

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from harness import variant
from harness.load import native_program
from harness.study import load
from harness.study.model import Request, WindowTimes
from harness.target import build, render, starting
from harness.target.service import Exit, Program
from harness.variant import Step
from harness.window import run as window
from harness.window.cores import available, core_map
from harness.window.run import Bench, Place
from harness.window.upstream import Upstream

ROOT = Path(__file__).resolve().parents[1]
SERVERS = Path(__file__).with_name("contract") / "servers.py"
WEBSOCKET_SERVERS = SERVERS.with_name("websocket_servers.py")
CORES = core_map(available(), 1)


class Served:
    """One server as a service."""

    def __init__(self, process):
        self.process, self.pid = process, process.pid

    def exited(self):
        code = self.process.poll()
        return None if code is None else Exit(code, oom_killed=False, words=f"ended with {code}")

    def log(self, lines=20):  # noqa: ARG002 - the contract's argument
        return ""


class Backend:
    """Serves one behaviour, whatever the program is. `meanwhile(pid)` may do something to it when it is up."""

    name = "test"

    def __init__(self, behaviour, meanwhile=lambda _pid: None, servers=SERVERS):
        self.behaviour, self.meanwhile, self.servers = behaviour, meanwhile, servers

    @contextmanager
    def serve(self, program, placement):
        environment = {**os.environ, **starting.environment(program, placement)}
        command = [sys.executable, str(self.servers), self.behaviour]
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
            os.sched_setaffinity(process.pid, placement.cores)
            self.meanwhile(process.pid)
            try:
                yield Served(process)
            finally:
                process.kill()

    def close(self):
        pass


def study(rate=300.0, measure_s=2.0, timeout_s=1.0, connections=32, contains=b"", **more):
    """Return a study of one GET; `more` changes its load."""
    read = load(ROOT / "studies" / "quickstart.yaml")
    request = Request("get", "GET", "/", (), b"", 1.0, 200, contains)
    loaded = replace(read.load, rate=rate, connections=connections, timeout_s=timeout_s, requests=(request,), **more)
    return replace(read, load=loaded, window=WindowTimes(0.5, measure_s, timeout_s))


def measured(generator, backend, made, jitter=None, upstream=None):
    """Return what one window of the study `made` gives on `backend`."""
    step = Step("calibrate", "baseline", 0, 0, 0, variant.baseline(made), 7)

    def build(_study, wanted):
        return Program(wanted.id, Path("/bin/true"), "", render.environment(made, wanted), "", 0.0, cached=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = Place(folder, folder, None, new_variant=False)
        return window.run(step, Bench(made, build, backend, generator, CORES, jitter, upstream), place)


def forwarded(generator, backend, folder, meanwhile):
    """Return what one window of the target `proxy` gives; `meanwhile` is told the pid of its upstream when that is there."""
    read = load(ROOT / "studies" / "proxy.yaml")
    made = replace(read, load=replace(read.load, rate=300.0), window=WindowTimes(0.3, 2.0, 1.0))
    step = Step("calibrate", "baseline", 0, 0, 0, variant.baseline(made), 7)
    build.build(made, step.variant)  # so that the window is short
    upstream = Upstream(native_program.null_server(), made.target.upstream_ms)
    bench = Bench(made, build.build, backend, generator, CORES, None, upstream)
    watching = threading.Thread(target=lambda: meanwhile(_first_upstream()), daemon=True)
    watching.start()
    seen = window.run(step, bench, Place(folder, folder, None, new_variant=False))
    watching.join()
    return seen


def upstreams(of):
    """Return the pids of the null servers that the process `of` started and that still run."""
    found = (re.match(r"(\d+) \(null_server\) [^ZX] (\d+) ", text) for text in map(_stat, Path("/proc").glob("[0-9]*")))
    return [int(told[1]) for told in found if told and int(told[2]) == of]


def _stat(folder):
    try:
        return (folder / "stat").read_text()
    except OSError:  # it has ended meanwhile
        return ""


def _first_upstream():
    end = time.monotonic() + 20
    while not (found := upstreams(os.getpid())):
        assert time.monotonic() < end, "no upstream was started"
        time.sleep(0.01)
    return found[0]
