"""A gateway with routes that lead outside, all of it real: its Envoy, who decides there, the egress with its Envoy and
who checks passes, and somebody outside behind TLS who keeps every byte.

    with outward(folder) as way:
        way.ask("Hello")                     # to the route, whose rule sends what may leave outside
        way.outside.asked, way.bot.asked     # where it went
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.fakes.outside import Authority, Outside
from tests.fakes.upstream import Engine
from tests.gateway.leaving import Egress, leaving
from tests.gateway.running import Answer, Gateway
from tests.gateway.states import CRM, MASTER, PARTNER, SUPPORT, model, state_of

from smallmodel_operator.boundary.declared import Silence, parse
from smallmodel_operator.boundary.passes import LEAD_MS, Signer
from smallmodel_operator.core.keys import egress_seed
from smallmodel_operator.gateway.decide.outages import Outages
from smallmodel_operator.gateway.decide.passes import Passes
from smallmodel_operator.gateway.decide.policies import Policies
from smallmodel_operator.gateway.decide.recognizers import Place, Recognizers
from smallmodel_operator.gateway.decide.server import serve
from smallmodel_operator.gateway.decide.service import Deciding, Recognize, Record, nobody
from smallmodel_operator.gateway.egress.server import milliseconds
from smallmodel_operator.gateway.routed import Choice, Lead, Route
from smallmodel_operator.gateway.state import Access, Endpoint, State
from smallmodel_operator.routing.detect.recognizer import Recognizer
from smallmodel_operator.routing.policy import Boundary, External, Match, Need, Rule, Trusted

CHAT = "/v1/chat/completions"
HOST = "api.localhost"
MODEL = "vendor/big-1:latest"
LABELLED, SAYING, STRANGER = SUPPORT, PARTNER, CRM
"""Keys: all requests of the first are `public`; the second may say `public` or `secret`; nobody trusts the third."""
TRUSTED = (
    Trusted("ns:support", ("public",)),
    Trusted("key:support/bot/partner", may_label=("public", "secret")),
)
BOUNDARY = Boundary(
    External.WHEN_CLEAN,
    labels=("secret",),
    patterns=(("ticket", r"TICKET-\d{6}"),),
    deny_terms=("project nightingale",),
    trusted=TRUSTED,
)
NER = Recognizer("ner", ("Names",), service="presidio", timeout_milliseconds=3000)
ALL = Choice((Rule("vectors", Match(requires=(Need.EMBEDDINGS,)), "small"), Rule("all", Match(), "cloud")), "small")


def route(name: str, choice: Choice = ALL, boundary: Boundary = BOUNDARY) -> Route:
    """One that leads to `small` inside and `cloud` outside."""
    allow = frozenset({"ns:support", "ns:crm", "key:support/bot/partner"})
    leads = (Lead("small", "support/bot", 1), Lead("cloud", f"support/{name}/cloud", 0, MODEL))
    access = Access(allow, max_body_bytes=8 << 20)
    return Route("support", name, "", access, leads, choice=choice, boundary=boundary)


ROUTES = (
    route("desk"),
    route("support"),
    route("named", Choice((), "small")),
    route("shut", boundary=Boundary(External.DENIED, trusted=TRUSTED)),
    route("health", boundary=Boundary(External.WHEN_CLEAN, ("Phi",), trusted=TRUSTED)),
    route("clinic", boundary=Boundary(External.WHEN_CLEAN, ("Pii", "Names"), trusted=TRUSTED, recognizers=(NER,))),
)


def state(bot: int, egress: int, content: str = "") -> State:
    """Of ports. `content`: in which form all routes keep requests."""
    models = (model("support/bot", max_body_bytes=8 << 20), model("support/other"))
    found = {r.path: replace(r, content=content) for r in ROUTES}
    there = (Endpoint("127.0.0.1", egress, ready=True),) if egress else ()
    return state_of(models, {"support/bot": bot, "support/other": bot}, routes=found, egress=there)


def deciding(
    now: Callable[[], State], record: Record, outages: Outages | None = None, recognize: Recognize = nobody
) -> Deciding:
    """What a gateway's agent decides with. It signs as by a clock that is ahead, so that a checker that has just begun
    takes what it signs."""
    policies = Policies(now, lambda _: None, resting=(outages or Outages()).resting)
    sign = Passes(lambda: MASTER, lambda: milliseconds() + LEAD_MS - 100)
    failed = (lambda target: outages.came(target, 503)) if outages else (lambda target: None)
    return Deciding(
        policies.route, policies.labels, record, away=policies.away, sign=sign, recognize=recognize, failed=failed
    )


@dataclass(slots=True)
class Outward:
    """All of it."""

    gateway: Gateway
    egress: Egress
    outside: Outside
    bot: Engine
    records: list[Mapping[str, Any]] = field(default_factory=list)
    outages: Outages = field(default_factory=Outages)
    recognizers: Callable[[str, Recognizer], Place | None] = lambda *_: None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    def begin(self) -> None:
        """Who decides, as a gateway's agent does."""

        async def begun() -> None:
            asking = await self._stack.enter_async_context(Recognizers(lambda *asked: self.recognizers(*asked)))
            service = deciding(lambda: self.gateway.state, self._record, self.outages, asking.ask)
            await self._stack.enter_async_context(serve(service, self.socket))
            self._stack.callback(service.close)

        self.gateway._on_loop(begun)

    def end(self) -> None:
        """Nobody decides any more."""
        self.gateway._on_loop(self._stack.aclose)

    @property
    def socket(self) -> Path:
        """Where is asked who decides."""
        return Path(self.gateway.site.decide_socket)

    async def _record(self, body: Mapping[str, Any], content: bytes) -> None:
        self.records.append(body)

    @contextmanager
    def without(self) -> Iterator[None]:
        """Inside nobody decides."""
        self.end()
        try:
            yield
        finally:
            self.begin()

    def rested(self) -> None:
        """What failed is tried again."""
        for name in ROUTES:
            self.outages.came(f"{name.path}/cloud", 200)

    def forget(self) -> None:
        """Nothing went anywhere."""
        self.records.clear()
        for asked in (self.outside.asked, self.bot.asked):
            asked.clear()
        self.outside.bytes = 0

    def ask(self, said: Any = "Hello", name: str = "desk", key: str = LABELLED, **more: Any) -> Answer:
        """A text, or messages."""
        messages = [{"role": "user", "content": said}]
        return self.send({"model": name, "messages": messages, **more}, key)

    def send(self, body: Any, key: str = LABELLED, path: str = CHAT, **headers: str) -> Answer:
        """A body as it is."""
        return self.gateway.post(path, body, key, **headers)

    def went(self) -> str:
        """Where the only request went."""
        assert len(self.outside.asked) + len(self.bot.asked) == 1
        return "outside" if self.outside.asked else "inside"


@contextmanager
def outward(folder: Path, said_nothing: Silence | None = None, **gateway: Any) -> Iterator[Outward]:
    """All of it, running. `said_nothing`: how long each target may."""
    with ExitStack() as stack:

        def started(server: Any) -> Any:
            server.start()
            stack.callback(server.stop)
            return server

        authority = Authority(folder)
        outside, bot = started(Outside(authority.certify(HOST))), started(Engine("bot"))
        (folder / "e").mkdir()
        own, url = said_nothing or Silence(), f"https://{HOST}:{outside.port}/v1"
        hosts = [parse(f"{r.path}/cloud", url, silence=own) for r in ROUTES]
        key = Signer(egress_seed(MASTER)).public
        egress = stack.enter_context(leaving(folder / "e", hosts, authority.file, key))
        running = stack.enter_context(Gateway(folder / "g", state(bot.port, egress.port), **gateway))
        found = Outward(running, egress, outside, bot)
        found.begin()
        stack.callback(found.end)
        yield found


def named(body: bytes, model: str = "desk") -> bytes:
    """The body as it is sent outside."""
    assert body.count(json.dumps(model).encode()) == 1
    return body.replace(json.dumps(model).encode(), json.dumps(MODEL).encode())
