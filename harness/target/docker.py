"""The docker backend: each window a fresh container from a one-layer image. The only file that knows the engine's API."""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from harness.errors import MachineError
from harness.target import owner
from harness.target.process import service_environment
from harness.target.service import Exit, Placement, Program, TargetFailed

LABEL_RUN = "tokio-harness.run"
LABEL_OWNER = "tokio-harness.owner"
REPOSITORY = "tokio-harness"
ENGINE_TIMEOUT_S = 20
STOP_LIMIT_S = 5
_PIDS_LIMIT = 16384
_SIGKILLED = 137


class ContainerService:
    """A service that is the only process of a container."""

    def __init__(self, client: docker.DockerClient, container_id: str, pid: int) -> None:
        """Keep the engine's client, the container's id and the process id on this host."""
        self._client, self._id, self._pid = client, container_id, pid
        self._throttle = _throttle_file(pid)

    @property
    def pid(self) -> int:
        """The service's process id as this host sees it."""
        return self._pid

    def exited(self) -> Exit | None:
        """Return how the container ended, or None while it runs."""
        if Path(f"/proc/{self._pid}").exists():
            return None
        with _engine_errors():
            try:
                state = self._client.api.inspect_container(self._id)["State"]
            except NotFound:
                return Exit(None, oom_killed=False, words="somebody removed its container")
        return None if state["Running"] else _exit(state)

    def log(self, lines: int = 20) -> str:
        """Return the end of what the container wrote."""
        try:
            raw = self._client.api.logs(self._id, tail=lines)
        except (DockerException, requests.RequestException):
            return ""
        return bytes(raw)[-16384:].decode("utf-8", errors="replace")

    def cgroup_cpu_throttled_s(self) -> float | None:
        """Return the seconds that a CPU quota stopped the container so far; None where the host does not tell."""
        return read_throttled_s(self._throttle) if self._throttle else None


class DockerBackend:
    """Serves programs in containers of this run, labelled with the run and its owner from their creation."""

    name = "docker"

    def __init__(self, run_id: str) -> None:
        """Connect lazily; `run_id` labels containers and images."""
        self._run = run_id
        self._repository = f"{REPOSITORY}/{run_id.lower()}"
        self._connected: docker.DockerClient | None = None
        self._images: dict[str, str] = {}  # digest of the binary -> a tag that holds it
        self._tags: set[str] = set()

    @staticmethod
    def available() -> str | None:
        """Return None if an engine answers, else the reason in one sentence."""
        try:
            client = docker.from_env(timeout=5)
            try:
                client.ping()
            finally:
                client.close()
        except (DockerException, requests.RequestException) as error:
            return _sentence(error)
        return None

    @property
    def _client(self) -> docker.DockerClient:
        if self._connected is None:
            with _engine_errors():
                self._connected = docker.from_env(timeout=ENGINE_TIMEOUT_S)
        return self._connected

    @contextmanager
    def serve(self, program: Program, placement: Placement) -> Iterator[ContainerService]:
        """Start a fresh container of the program and remove it on leaving."""
        with _engine_errors():
            image = self._image(program)
            container_id = self._create(image, program, placement)
        try:
            yield self._start(container_id)
        except BaseException:
            # The first error tells what happened; one of the removal would only hide it.
            with contextlib.suppress(MachineError):
                self._remove(container_id)
            raise
        self._remove(container_id)

    def close(self) -> None:
        """Remove the images of this run; an engine that went away has nothing left to remove here."""
        if self._connected is None:
            return
        with contextlib.suppress(DockerException, requests.RequestException):
            for image in self._connected.api.images(name=self._repository):
                for tag in image["RepoTags"] or []:
                    self._connected.api.remove_image(tag, force=True)
        self._connected.close()

    def _image(self, program: Program) -> str:
        """Return the tag of the program's image; the same binary is imported once and tagged for each variant."""
        tag = f"{self._repository}:{program.variant_id}"
        if tag in self._tags:
            return tag
        known = self._images.get(program.digest)
        if known is None:
            self._client.api.import_image_from_data(
                _layer(program.binary.read_bytes()),
                repository=self._repository,
                tag=program.variant_id,
                changes=['ENTRYPOINT ["/server"]', f"LABEL {LABEL_RUN}={self._run}"],
            )
        else:
            self._client.api.tag(known, self._repository, program.variant_id)
        self._images[program.digest] = tag
        self._tags.add(tag)
        return tag

    def _create(self, image: str, program: Program, placement: Placement) -> str:
        api = self._client.api
        host = api.create_host_config(
            network_mode="host",
            cpuset_cpus=",".join(str(core) for core in placement.cores),
            mem_limit=placement.memory_bytes,
            memswap_limit=placement.memory_bytes,
            cap_drop=["ALL"],
            read_only=True,
            security_opt=["no-new-privileges"],
            pids_limit=_PIDS_LIMIT,
            log_config=docker.types.LogConfig(type="json-file", config={"max-size": "1m", "max-file": "1"}),
        )
        environment = {**program.environment, **service_environment(placement)}
        labels = {LABEL_RUN: self._run, LABEL_OWNER: owner.mine()}
        try:
            created = api.create_container(
                image,
                name=f"{REPOSITORY}-{self._run}-{placement.nonce}",
                environment=environment,
                labels=labels,
                host_config=host,
            )
        except ImageNotFound:
            # Somebody removed our image in the middle of the run: make it again.
            self._images.clear()
            self._tags.clear()
            return self._create(self._image(program), program, placement)
        return str(created["Id"])

    def _start(self, container_id: str) -> ContainerService:
        try:
            self._client.api.start(container_id)
            state = self._client.api.inspect_container(container_id)["State"]
        except APIError as error:
            raise TargetFailed(f"the container cannot be started: {_sentence(error)}") from error
        except (DockerException, requests.RequestException) as error:
            raise _gone(error) from error
        if state["Pid"] == 0:
            log = ContainerService(self._client, container_id, 0).log()
            raise TargetFailed(f"the service ended at once: {_exit(state).words}", log)
        return ContainerService(self._client, container_id, state["Pid"])

    def _remove(self, container_id: str) -> None:
        api = self._client.api
        try:
            with contextlib.suppress(APIError):  # already ended
                api.kill(container_id, "SIGTERM")
            with contextlib.suppress(NotFound, requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError):
                api.wait(container_id, timeout=STOP_LIMIT_S)
            with contextlib.suppress(NotFound):
                api.remove_container(container_id, force=True)
        except (DockerException, requests.RequestException) as error:
            raise _gone(error) from error


def sweep() -> tuple[str, ...]:
    """Remove containers and images whose owner is dead; return what went, in words. Silent where no engine answers."""
    try:
        client = docker.from_env(timeout=ENGINE_TIMEOUT_S)
        gone = _sweep_containers(client)
        _sweep_images(client)
        client.close()
    except (DockerException, requests.RequestException):
        return ()
    return gone


def _sweep_containers(client: docker.DockerClient) -> tuple[str, ...]:
    gone = []
    for row in client.api.containers(all=True, filters={"label": LABEL_RUN}):
        if not owner.alive(row["Labels"].get(LABEL_OWNER, "")):
            with contextlib.suppress(NotFound):
                client.api.remove_container(row["Id"], force=True)
            gone.append(f"removed container {row['Names'][0].lstrip('/')}, left by a run that died")
    return tuple(gone)


def _sweep_images(client: docker.DockerClient) -> None:
    """Remove images of runs that have no container; under the host's lock no other run of this host is alive."""
    running = {row["Labels"].get(LABEL_RUN) for row in client.api.containers(all=True, filters={"label": LABEL_RUN})}
    for image in client.api.images(filters={"label": LABEL_RUN}):
        if (image["Labels"] or {}).get(LABEL_RUN) not in running:
            with contextlib.suppress(APIError):
                client.api.remove_image(image["Id"], force=True)


def read_throttled_s(file: Path) -> float | None:
    """Return the throttled seconds of a cpu.stat: `throttled_time` (v1, ns) or `throttled_usec` (v2)."""
    try:
        pairs = dict(line.split() for line in file.read_text(encoding="ascii").splitlines() if line.count(" ") == 1)
    except OSError:
        return None
    if "throttled_time" in pairs:
        return int(pairs["throttled_time"]) / 1e9
    return int(pairs["throttled_usec"]) / 1e6 if "throttled_usec" in pairs else None


def _throttle_file(pid: int) -> Path | None:
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    groups = {part[1]: part[2] for line in lines if len(part := line.split(":", 2)) == 3}  # noqa: PLR2004
    for controllers, path in groups.items():
        if "cpu" in controllers.split(","):
            return Path(f"/sys/fs/cgroup/cpu{path}/cpu.stat")
    return Path(f"/sys/fs/cgroup{groups['']}/cpu.stat") if "" in groups else None


def _layer(binary: bytes) -> bytes:
    """Return a tar with the one file of the image."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("server")
        info.size, info.mode = len(binary), 0o755
        tar.addfile(info, io.BytesIO(binary))
    return buffer.getvalue()


def _exit(state: dict[str, Any]) -> Exit:
    code, oom = int(state["ExitCode"]), bool(state["OOMKilled"])
    if oom:
        return Exit(code, oom_killed=True, words="the kernel killed it because it reached its memory limit (OOM)")
    if code == _SIGKILLED:
        return Exit(code, oom_killed=False, words="killed by SIGKILL")
    return Exit(code, oom_killed=False, words=f"exit code {code}{': ' + state['Error'] if state['Error'] else ''}")


@contextmanager
def _engine_errors() -> Iterator[None]:
    try:
        yield
    except (DockerException, requests.RequestException) as error:
        raise _gone(error) from error


def _gone(error: Exception) -> MachineError:
    return MachineError(
        f"Docker failed: {_sentence(error)}. Look with `docker version` or `harness doctor`; a run never changes its backend."
    )


def _sentence(error: Exception) -> str:
    text = error.explanation if isinstance(error, APIError) and error.explanation else str(error)
    return " ".join(str(text).split())[:300]
