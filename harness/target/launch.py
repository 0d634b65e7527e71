"""Runs a program on given cores so that it dies with the process that started it. A script, never imported.

    python -I -S launch.py PARENT_PID CORES PROGRAM [ARGUMENT ...]

It replaces itself by the program, so pid, start time and environment are the program's own. Done here and not between
fork and exec of the harness: that one has threads, and Python code after the fork of a threaded process may hang.
"""

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _main() -> None:
    parent, cores, program = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # The parent may have died before the line above, and then nobody would ever send the signal.
    if os.getppid() != parent:
        sys.exit("the process that started this has ended")
    os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    # As a container has it: hundreds of connections must not meet the soft limit of an interactive shell.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Python sets LC_CTYPE itself where no locale is set; the program shall only see what it was given.
    environment = {name: value for name, value in os.environ.items() if name != "LC_CTYPE"}
    try:
        os.execvpe(program, sys.argv[3:], environment)  # noqa: S606 - replacing itself is its work
    except OSError as error:
        print(f"cannot run {program}: {error.strerror}", file=sys.stderr)  # noqa: T201 - this is the service's log
        sys.exit(127)


if __name__ == "__main__":
    _main()
