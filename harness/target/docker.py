"""The docker backend: each window a fresh container from an image of one layer. Alone in knowing Docker's library.

Everything it makes carries the run and its owner from the moment of creation; nothing else is ever touched.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import socket
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from harness.errors import MachineError
from harness.target import proc, starting, words
from harness.target.service import Exit, Placement, Program, TargetFailed

if TYPE_CHECKING:
    from docker import APIClient

RUN_LABEL = "tokio-harness.run"
OWNER_LABEL = "tokio-harness.owner"
STOP_LIMIT_S = 3.0
_ENGINE_SOCKET = "unix:///var/run/docker.sock"
_ENGINE_LIMIT_S = 10
_LOOK_LIMIT_S = 3
_MOST_PROCESSES = 8192


class ContainerService:
    """A service that is the only process of a container."""

    def __init__(self, api: APIClient, name: str, pid: int) -> None:
        """Watch the container `name`; `pid` is its process on this host, 0 when it ended before anyone could ask."""
        self._api = api
        self._name = name
        self._pid = pid
        self._identity = proc.identity(pid)

    @property
    def pid(self) -> int:
        """The service's process id as this host sees it."""
        return self._pid

    def exited(self) -> Exit | None:
        """Return how the service ended, or None while it runs."""
        if self._identity is not None and proc.identity(self._pid) == self._identity:
            return None
        with _engine():
            self._api.wait(self._name, timeout=_ENGINE_LIMIT_S)
            state: dict[str, Any] = self._api.inspect_container(self._name)["State"]
        return words.ending(int(state["ExitCode"]), oom_killed=bool(state["OOMKilled"]))

    def log(self, lines: int = 20) -> str:
        """Return the end of what the service wrote; empty when the engine does not tell any more."""
        try:
            with _engine():
                return words.tail(self._api.logs(self._name, stdout=True, stderr=True, tail=lines), lines)
        except MachineError:
            # Asked for to explain another failure, which must not be lost for it.
            return ""


class DockerBackend:
    """Serves programs in containers, on the network of the host and bound to loopback, so nothing is in between."""

    name = "docker"

    def __init__(self, run_id: str, stop_limit_s: float = STOP_LIMIT_S) -> None:
        """Connect on first use; `stop_limit_s` is what a service gets between SIGTERM and SIGKILL."""
        self._run = run_id
        self._slug = re.sub(r"[^a-z0-9]+", "-", run_id.lower()).strip("-")
        self._stop_limit_s = stop_limit_s
        self._connected: APIClient | None = None
        self._tags: dict[str, str] = {}  # digest of a program -> a tag of its image

    @staticmethod
    def available() -> str | None:
        """Return None when an engine answers that can run containers on this host, else the reason in a sentence."""
        try:
            with _engine(), contextlib.closing(_connect(_LOOK_LIMIT_S)) as api:
                info = api.info()
        except MachineError as error:
            return _sentence(error.__cause__ or error)
        return obstacle(info, os.uname().nodename)

    @contextmanager
    def serve(self, program: Program, placement: Placement) -> Iterator[ContainerService]:
        """Start the program in a fresh container and yield it; on leaving, stop and remove the container."""
        name = f"tokio-harness-{self._slug}-{program.variant_id}-{placement.nonce}"
        pid = 0
        try:
            pid = self._start(name, program, placement)
            yield ContainerService(self._api, name, pid)
        except BaseException as first:
            # What ended the block is what has to be told; a removal that fails as well is only a note to it.
            try:
                self._remove(name, pid)
            except MachineError as second:
                first.add_note(str(second))
            raise
        self._remove(name, pid)

    def close(self) -> None:
        """Remove this run's containers and images; silent when the engine is gone, since the next start sweeps."""
        if self._connected is None:
            return
        with contextlib.suppress(MachineError), _engine(), contextlib.closing(self._connected) as api:
            for row in api.containers(all=True, filters={"label": f"{RUN_LABEL}={self._run}"}):
                _remove_container(api, row["Id"])
            for row in api.images(name=self._repository):
                _remove_image(api, row)
        self._connected = None
        self._tags.clear()

    @property
    def _repository(self) -> str:
        return f"tokio-harness/{self._slug}"

    @property
    def _api(self) -> APIClient:
        if self._connected is None:
            self._connected = _connect(_ENGINE_LIMIT_S)
        return self._connected

    def _start(self, name: str, program: Program, placement: Placement) -> int:
        from docker.errors import APIError, ImageNotFound

        with _engine():
            try:
                try:
                    self._create(name, program, placement)
                except ImageNotFound:
                    # Somebody cleaned up images while the run went on.
                    self._tags.clear()
                    self._create(name, program, placement)
                self._api.start(name)
                return int(self._api.inspect_container(name)["State"]["Pid"])
            except APIError as error:
                if "no space left" in str(error):
                    raise
                raise TargetFailed(f"Docker could not start the container: {_sentence(error)}") from error

    def _create(self, name: str, program: Program, placement: Placement) -> None:
        from docker.types import LogConfig, Ulimit

        files = starting.most_files()
        host = self._api.create_host_config(
            network_mode="host",
            cpuset_cpus=",".join(str(core) for core in placement.cores),
            mem_limit=placement.memory_bytes,
            memswap_limit=placement.memory_bytes,  # the same, so there is no swap to hide in
            cap_drop=["ALL"],
            read_only=True,
            security_opt=["no-new-privileges"],
            pids_limit=_MOST_PROCESSES,
            ulimits=[Ulimit(name="nofile", soft=files, hard=files)],
            log_config=LogConfig(type="json-file", config={"max-size": "1m", "max-file": "2"}),
        )
        self._api.create_container(
            self._image(program),
            name=name,
            environment=starting.environment(program, placement),
            labels={RUN_LABEL: self._run, OWNER_LABEL: _owner()},
            host_config=host,
        )

    def _image(self, program: Program) -> str:
        """Return the image of the program, tagged by its variant; a binary is imported once, then only tagged."""
        tag = f"{self._repository}:{program.variant_id}"
        known = self._tags.get(program.digest)
        if known is None:
            self._api.import_image_from_data(
                _layer(program.binary.read_bytes()),
                repository=self._repository,
                tag=program.variant_id,
                changes=['ENTRYPOINT ["/server"]', f"LABEL {RUN_LABEL}={self._slug} {OWNER_LABEL}={_owner()}"],
            )
            self._tags[program.digest] = tag
        elif known != tag:
            self._api.tag(known, self._repository, program.variant_id)
        return tag

    def _remove(self, name: str, pid: int) -> None:
        from docker.errors import APIError

        with _engine():
            if proc.stat(pid) is not None:
                with contextlib.suppress(APIError):  # it may have ended by itself
                    self._api.kill(name, "SIGTERM")
                proc.wait_gone(pid, self._stop_limit_s)
            _remove_container(self._api, name)


def obstacle(info: Mapping[str, Any], host: str) -> str | None:
    """Return why containers of an engine that says `info` could not use the loopback of `host`, if so. Pure."""
    if info.get("Name") != host:
        return f"the Docker engine runs on another machine ({info.get('Name')}), and load goes to loopback only"
    if any(word in option for option in info.get("SecurityOptions") or () for word in ("rootless", "userns")):
        return "the Docker engine is rootless or remaps users, so its containers cannot use this host's loopback"
    return None


def remove_leftovers() -> tuple[str, ...]:
    """Remove containers and images whose owner has died; a sentence for each. Nothing where no engine answers."""
    try:
        with _engine(), contextlib.closing(_connect(_LOOK_LIMIT_S)) as api:
            containers = [row for row in api.containers(all=True, filters={"label": OWNER_LABEL}) if _is_left(row)]
            for row in containers:
                _remove_container(api, row["Id"])
            images = [row for row in api.images(filters={"label": OWNER_LABEL}) if _is_left(row)]
            for row in images:
                _remove_image(api, row)
    except MachineError:
        return ()
    return (
        *(f"removed container {row['Names'][0].lstrip('/')}, left by a run that died" for row in containers),
        *(f"removed image {_tags(row)[0]}, left by a run that died" for row in images),
    )


def _is_left(row: dict[str, Any]) -> bool:
    return proc.has_ended((row["Labels"] or {}).get(OWNER_LABEL, ""))


def _remove_container(api: APIClient, container: str) -> None:
    from docker.errors import NotFound

    with contextlib.suppress(NotFound):
        api.remove_container(container, force=True, v=True)


def _remove_image(api: APIClient, row: dict[str, Any]) -> None:
    """Untag an image until it is gone; a tag that somebody else gave it keeps it, and is not ours to take."""
    from docker.errors import APIError

    for tag in _tags(row):
        if tag.startswith(("tokio-harness/", row["Id"])):
            with contextlib.suppress(APIError):  # another container uses it, or it is gone already
                api.remove_image(tag)


def _tags(row: dict[str, Any]) -> list[str]:
    return row["RepoTags"] or [row["Id"]]


def _owner() -> str:
    return proc.identity(os.getpid()) or ""


def _layer(binary: bytes) -> bytes:
    """Return the one layer of an image: a tar with /server."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        entry = tarfile.TarInfo("server")
        entry.size, entry.mode = len(binary), 0o755
        layer.addfile(entry, io.BytesIO(binary))
    return buffer.getvalue()


def _connect(limit_s: int) -> APIClient:
    import docker  # 0.2 s, so only where an engine is asked for
    from docker.utils import kwargs_from_env

    _knock(os.environ.get("DOCKER_HOST") or _ENGINE_SOCKET, limit_s)
    return docker.APIClient(version="auto", timeout=limit_s, **kwargs_from_env())


def _knock(address: str, limit_s: int) -> None:
    """Raise an OSError that names the engine's socket when nobody listens there; Docker's own message names nothing."""
    if not address.startswith("unix://"):
        return
    path = address.removeprefix("unix://")
    with socket.socket(socket.AF_UNIX) as door:
        door.settimeout(limit_s)
        try:
            door.connect(path)
        except OSError as error:
            raise OSError(f"no engine can be reached at {path} ({error.strerror or error})") from error


@contextmanager
def _engine() -> Iterator[None]:
    """Turn what the engine, or the way to it, does wrong into a MachineError."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except (DockerException, RequestException, OSError) as error:
        raise MachineError(
            f"Docker does not answer as it should: {_sentence(error)}. Look at it with `docker info`, "
            "start it with `systemctl start docker`."
        ) from error


def _sentence(error: BaseException) -> str:
    """Return what an error says, on one line and bounded."""
    return " ".join(str(getattr(error, "explanation", None) or error).split())[:300]
