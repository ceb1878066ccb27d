"""The checker as a process beside Envoy, and what Envoy starts with."""

import asyncio
import logging
import signal
from pathlib import Path

from smallmodel_operator.boundary.declared import Declared, load
from smallmodel_operator.boundary.egress import Outward, outward_findings
from smallmodel_operator.boundary.passes import LEAD_MS, Gate
from smallmodel_operator.gateway.admin import Admin
from smallmodel_operator.gateway.egress import http
from smallmodel_operator.gateway.egress.checker import Checker
from smallmodel_operator.gateway.egress.envoy import bootstrap
from smallmodel_operator.gateway.egress.server import milliseconds, serve
from smallmodel_operator.gateway.egress.settings import EgressSettings
from smallmodel_operator.gateway.egress.site import MOST_BODY, EgressSite
from smallmodel_operator.gateway.files import BOOTSTRAP, dump, replace

logger = logging.getLogger(__name__)


def hosts(settings: EgressSettings) -> tuple[Declared, ...]:
    """Those that are declared.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds something else.
    """
    return load(settings.hosts.read_text(encoding="utf-8"))


def prepare(settings: EgressSettings) -> None:
    """Write what Envoy starts with.

    Raises:
        OSError, ValueError: as `hosts`, or the folder is full; or it would lead elsewhere, then nothing is written.
    """
    declared = hosts(settings)
    made = bootstrap(declared, settings.site)
    if found := outward_findings(made, outward(declared, settings.site)):
        raise ValueError(f"no configuration is written: {'; '.join(map(str, found))}")
    settings.dir.mkdir(parents=True, exist_ok=True)
    replace(settings.dir / BOOTSTRAP, dump(made))


def outward(declared: tuple[Declared, ...], site: EgressSite) -> Outward:
    """What the egress may be told."""
    authorities, credentials = str(site.authorities), str(site.credentials)
    return Outward(declared, site.admin_socket, site.check_socket, authorities, credentials, MOST_BODY)


async def run(settings: EgressSettings) -> None:
    """Check passes until a signal ends it.

    Raises:
        OSError, ValueError: as `hosts`, or what it listens on cannot be made.
    """
    began = milliseconds()
    checker = Checker(Gate(settings.keys, began), [host.name for host in hosts(settings)])
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    async with Admin(settings.dir / "admin.sock") as admin, serve(checker, Path(settings.site.check_socket)):
        runner = await http.serve(settings.http_port, admin, began)
        try:
            logger.info("checks passes; the first that can pass is signed %d s from now", LEAD_MS // 1000)
            await stop.wait()
        finally:
            await runner.cleanup()
