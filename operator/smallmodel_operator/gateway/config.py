"""Writing Envoy's configuration: the whole when models or keys change, one model's endpoints at once."""

import asyncio
import hashlib
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from smallmodel_operator.boundary.seal import Boundary
from smallmodel_operator.gateway import metrics
from smallmodel_operator.gateway.admin import Upstream
from smallmodel_operator.gateway.discovery import Discovery
from smallmodel_operator.gateway.files import BOOTSTRAP, CDS, EDS, LDS, RDS, Files, dump
from smallmodel_operator.gateway.known import KNOWN, recall_boundary, remember
from smallmodel_operator.gateway.state import WAY_OUT, Issuer, Model, State
from smallmodel_operator.gateway.view import Keys
from smallmodel_operator.gateway.world import World

DEBOUNCE_SECONDS: Final = 0.005
MOST_SECONDS: Final = 1.0
"""Longest pause between two whole configurations while changes keep coming."""
RETRY_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 0.05
"""How often is looked whether everything is known: without an operator that takes as long as it takes."""
GIVEN: Final = 256
CONFIGURED: Final = (CDS, RDS, LDS)

logger = logging.getLogger(__name__)


class Leak(Exception):  # noqa: N818 - named for what it found
    """A configuration that would lead outside the cluster; the message says by which paths."""

    def __init__(self, paths: Sequence[str]) -> None:
        more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
        super().__init__(f"it would lead outside the cluster: {paths[0]}{more}")


class Renderer(Protocol):
    """Makes configuration files of a state: relative path to JSON value; and judges them. Pure, safe in a thread."""

    def bootstrap(self) -> Any: ...

    def everything(self, state: State) -> Mapping[str, Any]: ...

    def endpoints(self, state: State, target: str) -> tuple[str, Any]:
        """The endpoint file of one target: its path and its value."""

    def leaks(self, state: State, files: Mapping[str, Any], target: str = "") -> Sequence[str]:
        """Paths that lead outside the cluster: of a whole configuration, or of the endpoints of one target."""

    def strangers(self, state: State, upstreams: Mapping[str, frozenset[Upstream]]) -> Sequence[str]:
        """Of the addresses Envoy says that it leads to, by cluster, those that are outside."""


def prepare(files: Files, renderer: Renderer) -> list[str]:
    """What Envoy needs to start: its bootstrap, and empty configuration where there is none yet; names written.

    Raises:
        Leak: nothing was written.
    """
    start, empty = renderer.bootstrap(), renderer.everything(State())
    if leaks := renderer.leaks(State(), {BOOTSTRAP: start, **empty}):
        raise Leak(leaks)
    written = [BOOTSTRAP] if files.write(BOOTSTRAP, dump(start)) else []
    for name, value in empty.items():
        if not files.exists(name) and files.write(name, dump(versioned(value))):
            written.append(name)
    return written


def targets_on_disk(files: Files) -> dict[str, Any]:
    """Endpoint files from before, by target."""
    values = (files.read(name) for name in files.endpoints())
    return {v["resources"][0]["cluster_name"]: v for v in values if v}


def versioned(value: Any) -> Any:
    """The same configuration with its own hash as version: so that Envoy can be asked which one it serves."""
    if not isinstance(value, dict) or "resources" not in value:
        return value
    return {**value, "version_info": hashlib.sha256(dump(value["resources"])).hexdigest()[:16]}


def versioned_as(value: Any) -> Any:
    """With the version it ought to have, if it has one at all."""
    return versioned(value) if version_of(value) else value


def version_of(value: Any) -> str:
    """Its version; empty when it has none."""
    return str(value.get("version_info", "")) if isinstance(value, dict) else ""


def _known(keys: Keys | None, issuer: Issuer | None, boundary: Boundary) -> bytes:
    return dump(remember(keys, issuer, boundary)) if keys else b"{}"


class Writer:
    """Keeps files and discovery as the world says. `problem` says why the newest could not be written."""

    def __init__(self, files: Files, discovery: Discovery, renderer: Renderer, world: Callable[[], World]) -> None:
        self._files = files
        self._discovery = discovery
        self._renderer = renderer
        self._world = world
        self._dirty = asyncio.Event()
        self._moved: set[str] = set()
        self._took = 0.0
        self.targets = frozenset(targets_on_disk(files)) - {WAY_OUT}
        """Those in the configuration."""
        self.routes: frozenset[str] = frozenset()
        """ModelRoutes in the configuration, as this process wrote it."""
        self.state = State()
        """What the newest configuration is made of, before Envoy has it; nothing until this process has written one."""
        self.given: deque[Mapping[str, Model]] = deque(maxlen=GIVEN)
        """Models of each configuration, before Envoy has it; whoever records them takes them away."""
        self.problem = ""
        self.boundary: Boundary | None = recall_boundary(files.read(KNOWN))
        """The one the newest files keep; None: they were written without one."""
        self.replaced = time.monotonic()
        """When a file that is not only endpoints was last replaced (monotonic)."""
        self.versions = {name: version_of(files.read(name)) for name in CONFIGURED}
        """Of the newest content of each such file."""
        self.written = bool(self.targets) or files.exists(KNOWN)
        """There is a configuration of this agent, or of the one before it."""

    def resume(self) -> None:
        """Serve the endpoints on disk until something newer is known."""
        self._discovery.put(targets_on_disk(self._files))

    def changed(self) -> None:
        """Models, keys, peers or the issuer are different: write everything soon."""
        self._dirty.set()

    def moved(self, target: str) -> None:
        """Endpoints of one target are different: write them now, the rest needs no change."""
        self._moved.add(target)
        if self._world().complete and target in self.targets:
            try:
                self._write_endpoints(target)
            except Exception as error:
                self._failed(error)
                self._dirty.set()
        else:
            self._dirty.set()

    async def run(self) -> None:
        """Write whenever something changed, until cancelled."""
        self._dirty.set()
        while True:
            await self._dirty.wait()
            # In a burst the pause grows with the work, so that at most half of a core goes into it.
            await asyncio.sleep(min(MOST_SECONDS, max(DEBOUNCE_SECONDS, self._took)))
            if not self._world().complete:
                await asyncio.sleep(LOOK_SECONDS)
                continue
            self._dirty.clear()
            try:
                await self._write_everything()
                self.problem = ""
            except Exception as error:  # a full folder, a bug: Envoy keeps what it has, and it is said
                self._failed(error)
                await asyncio.sleep(RETRY_SECONDS)
                self._dirty.set()

    def _failed(self, error: Exception) -> None:
        metrics.WRITE_FAILURES.inc()
        metrics.LEAKS.inc(isinstance(error, Leak))
        if not self.problem:
            logger.exception("the configuration cannot be written, the last one stays")
        said = str(error) if isinstance(error, Leak) else repr(error)
        self.problem = f"the configuration cannot be written, the last one stays: {said}"

    async def _write_everything(self) -> None:
        began = time.monotonic()
        world = self._world()
        state, boundary = world.state(), world.boundary
        self._moved.clear()
        contents, values, versions = await asyncio.to_thread(self._render, state)
        for target in self._moved & state.models.keys():  # newer than what was rendered meanwhile
            name, value = self._endpoints(world, target)
            contents[name], values[target] = dump(value), value
        self._discovery.put(values)
        self.targets = frozenset(state.models)
        self.given.append(state.models)
        self.state = state
        names = self._files.write_all(contents)
        self._count(names)
        if any(not name.startswith(EDS) for name in names):
            self.replaced = time.monotonic()
            self.versions = versions
        self._discovery.keep_only(state.clusters)
        self._files.write(KNOWN, _known(world.keys, state.issuer, boundary))
        self.written, self.boundary, self.routes = True, boundary, frozenset(state.routes)
        metrics.MODELS.set(len(state.models))
        metrics.KEYS.set(len(state.keys))
        metrics.ENDPOINTS.set(sum(map(len, state.endpoints.values())))
        self._took = time.monotonic() - began
        metrics.RENDER_SECONDS.observe(self._took)

    def _render(self, state: State) -> tuple[dict[str, bytes], dict[str, Any], dict[str, str]]:
        """Files as bytes, endpoints by target, versions by file."""
        files = {name: versioned(value) for name, value in self._renderer.everything(state).items()}
        versions = {name: version_of(value) for name, value in files.items()}
        endpoints = {}
        for target in state.clusters:
            name, value = self._renderer.endpoints(state, target)
            files[name] = endpoints[target] = value
        if leaks := self._renderer.leaks(state, {BOOTSTRAP: self._renderer.bootstrap(), **files}):
            raise Leak(leaks)
        return {name: dump(value) for name, value in files.items()}, endpoints, versions

    async def outside(self, upstreams: Mapping[str, frozenset[Upstream]]) -> list[str]:
        """Every path that leads outside: in the files as they lie there now, and of `upstreams`, where Envoy says that
        it leads. A file with a version that is not its content's is one nobody checked."""
        return await asyncio.to_thread(self._outside, self._world().state(), upstreams)

    def _outside(self, state: State, upstreams: Mapping[str, frozenset[Upstream]]) -> list[str]:
        files = self._files.configuration()
        strange = [name for name, value in files.items() if version_of(value) != version_of(versioned_as(value))]
        found = [f"{name}: somebody else has changed it" for name in strange]
        return [*found, *self._renderer.leaks(state, files), *self._renderer.strangers(state, upstreams)]

    def _endpoints(self, world: World, target: str) -> tuple[str, Any]:
        """The endpoint file of one target: its path and its value."""
        state = world.state(only=target)
        name, value = self._renderer.endpoints(state, target)
        if leaks := self._renderer.leaks(state, {name: value}, target):
            raise Leak(leaks)
        return name, value

    def _write_endpoints(self, target: str) -> None:
        name, value = self._endpoints(self._world(), target)
        if self._files.write(name, dump(value)):
            metrics.WRITES.labels("eds").inc()
        self._discovery.put({target: value})

    @staticmethod
    def _count(names: list[str]) -> None:
        for name in names:
            metrics.WRITES.labels(metrics.file_of(name)).inc()
