"""`slm gateway`: the two processes of a gateway pod that are ours, beside Envoy."""

import asyncio
import sys
from collections.abc import Callable
from functools import partial

from pydantic import ValidationError

from smallmodel_operator.cluster.access import NoCluster
from smallmodel_operator.gateway import agent, config
from smallmodel_operator.gateway.accesslog.counted import Counted
from smallmodel_operator.gateway.accesslog.metrics import REQUESTS
from smallmodel_operator.gateway.accesslog.part import read_log
from smallmodel_operator.gateway.activate.part import activate
from smallmodel_operator.gateway.boundary import cut
from smallmodel_operator.gateway.boundary.part import enforce
from smallmodel_operator.gateway.decide.part import choose
from smallmodel_operator.gateway.files import Files
from smallmodel_operator.gateway.record import door
from smallmodel_operator.gateway.record.part import record
from smallmodel_operator.gateway.settings import GatewaySettings
from smallmodel_operator.gateway.xds.renderer import EnvoyRenderer
from smallmodel_operator.gateway.xds.site import Site
from smallmodel_operator.runtime import logging


def prepare() -> int:
    """Write what Envoy needs to start; what is there already is kept."""
    return _with_settings(_prepare)


def run() -> int:
    """Run the agent; the exit code says why it ended."""
    return _with_settings(_run)


def _with_settings(work: Callable[[GatewaySettings], int]) -> int:
    try:
        settings = GatewaySettings()
    except ValidationError as error:
        for problem in error.errors():
            print(f"SLM_{str(problem['loc'][0]).upper()}: {problem['msg']}", file=sys.stderr)
        return 2
    logging.configure(settings.log_format, settings.log_level)
    try:
        return work(settings)
    except NoCluster as error:
        print(error, file=sys.stderr)
        return 2


def _run(settings: GatewaySettings) -> int:
    counted = Counted(settings.gateway_data_dir, REQUESTS)
    parts = (activate, partial(read_log, counted=counted), partial(record, counted=counted), enforce, choose)
    return asyncio.run(agent.run(settings, _renderer(settings), parts))


def _prepare(settings: GatewaySettings) -> int:
    try:
        written = config.prepare(Files(settings.gateway_dir), _renderer(settings))
        door.prepare(settings)
        cut.write(settings.cut_file, cut.RUN)
    except config.Leak as error:
        print(f"no configuration is written: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{settings.gateway_dir} cannot be written: {error}", file=sys.stderr)
        return 1
    print(f"written: {', '.join(written) or 'nothing, all is there'}")
    return 0


def _renderer(settings: GatewaySettings) -> EnvoyRenderer:
    site = Site(
        folder=settings.gateway_dir,
        data=settings.gateway_data_dir,
        pod=settings.identity,
        activator_port=settings.gateway_activator_port,
        memory=settings.gateway_envoy_memory,
        refuse=settings.audit_on_failure == "Refuse",
    )
    return EnvoyRenderer(site)
