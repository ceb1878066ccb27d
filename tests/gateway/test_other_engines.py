"""vLLM and TGI behind the real Envoy, by their official clients; the servers are fakes that speak their wire format."""

import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.fakes.other_engines import USAGE, WORDS, FakeTgi, FakeVllm
from tests.gateway.running import Gateway
from tests.gateway.states import MASTER, SUPPORT, model, state_of

from smallmodel_operator.core.keys import engine_key
from smallmodel_operator.gateway.paths import TGI_LACKS
from smallmodel_operator.serving.engines import ENGINES

if TYPE_CHECKING:
    from openai import OpenAI

SAID = "".join(WORDS)
HELLO = [{"role": "user", "content": "Hello?"}]


@pytest.fixture(scope="module")
def vllm() -> Iterator[FakeVllm]:
    engine = FakeVllm("vllm", key=engine_key(MASTER, "uid-support/bot"))
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def tgi() -> Iterator[FakeTgi]:
    engine = FakeTgi("tgi", key=engine_key(MASTER, "uid-support/tgi"))
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def both(folder: Path, vllm: FakeVllm, tgi: FakeTgi) -> Iterator[Gateway]:
    """support/bot (VLLM) and support/tgi (TGI, whose client names every model so)."""
    models = (model("support/bot", engine="VLLM"), model("support/tgi", engine="TGI", lacks=TGI_LACKS))
    with Gateway(folder, state_of(models, {"support/bot": vllm.port, "support/tgi": tgi.port})) as running:
        yield running


def client(gateway: Gateway) -> "OpenAI":
    from openai import OpenAI  # takes a second, which every worker that only collects would take, too

    return OpenAI(base_url=f"http://127.0.0.1:{gateway.port}/support/v1", api_key=SUPPORT, max_retries=0)


@pytest.mark.parametrize("name", ["bot", "tgi"])
def test_an_openai_client_talks_to_it(both: Gateway, name: str) -> None:
    with client(both) as ask:
        answer = ask.chat.completions.create(model=name, messages=HELLO)
        assert answer.choices[0].message.content == SAID
        assert answer.usage is not None
        assert answer.usage.completion_tokens == USAGE["completion_tokens"]
        stream = ask.chat.completions.create(model=name, messages=HELLO, stream=True)
        assert "".join(part.choices[0].delta.content or "" for part in stream) == SAID


def test_the_tokens_of_a_stream_are_counted_where_it_tells_them(both: Gateway) -> None:
    with client(both) as ask:
        options = {"include_usage": True}
        stream = ask.chat.completions.create(model="bot", messages=HELLO, stream=True, stream_options=options)
        assert [part.usage.total_tokens for part in stream if part.usage] == [USAGE["total_tokens"]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tgis_own_client_talks_to_it(both: Gateway) -> None:
    from text_generation import Client
    from text_generation.types import Message

    address = f"http://127.0.0.1:{both.port}/support"
    ask = Client(address, headers={"Authorization": f"Bearer {SUPPORT}"})
    answer = ask.chat([Message(role="user", content="Hello?")])
    assert answer.choices[0].message.content == SAID
    assert answer.system_fingerprint == "3.3.4-native"


def test_the_engines_own_error_is_passed_on(both: Gateway) -> None:
    from openai import APIStatusError

    with client(both) as ask, pytest.raises(APIStatusError) as error:
        ask.chat.completions.create(model="tgi", messages=[])
    assert error.value.status_code == 422


@pytest.mark.parametrize(("engine", "fake"), [("VLLM", "vllm"), ("TGI", "tgi")])
def test_health_and_metrics_need_no_key_and_everything_else_does(
    request: pytest.FixtureRequest, engine: str, fake: str
) -> None:
    server = request.getfixturevalue(fake)

    def get(path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST" if path.startswith("/v1") else "GET", path, "{}" if path.startswith("/v1") else None)
        answer = connection.getresponse()
        said = answer.read().decode()
        connection.close()
        return answer.status, said

    assert get("/health")[0] == 200
    assert get("/v1/chat/completions")[0] == 401
    names = {line.split()[0].split("{")[0] for line in get("/metrics")[1].splitlines() if not line.startswith("#")}
    assert set(ENGINES[engine].METRICS.values()) <= names
