"""llama-server's command line and probes."""

from tests.fakes.objects import request

from smallmodel_operator.serving import drain, llamacpp


def value(arguments: list[str], flag: str) -> str:
    assert arguments.count(flag) == 1
    return arguments[arguments.index(flag) + 1]


def test_arguments_say_what_the_user_asked_for() -> None:
    made = llamacpp.arguments(request(context_size=2048, parallel_slots=3, threads=5))
    assert value(made, "--model") == "/weights/model.gguf"
    assert value(made, "--alias") == "bot"
    assert value(made, "--port") == "8080"
    assert value(made, "--ctx-size") == str(2048 * 3), "llama.cpp shares its context among the slots"
    assert value(made, "--parallel") == "3"
    assert value(made, "--threads") == "5"
    assert value(made, "--cache-ram") == "0"
    assert "--metrics" in made


def test_the_users_arguments_come_last() -> None:
    assert llamacpp.arguments(request(args=("--jinja", "--temp", "0")))[-3:] == ["--jinja", "--temp", "0"]


def test_what_a_conversation_leaves_behind_is_bounded_before_the_users_arguments() -> None:
    wish = request(args=("--temp", "0"))
    container = llamacpp.container(wish)
    llamacpp.keyed(container, wish, "/keys")
    made = container["args"]
    assert value(made, "--ctx-checkpoints") == "2"
    assert made[-2:] == ["--temp", "0"]


def test_environment_and_drain() -> None:
    container = llamacpp.container(request(env=(("A", "1"), ("B", ""))))
    assert container["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": ""}]
    assert container["lifecycle"]["preStop"]["exec"]["command"] == drain.command(8080)


def test_every_probe_asks_for_health() -> None:
    container = llamacpp.container(request())
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/health", "port": "http"}


def test_a_slow_answer_is_not_death() -> None:
    probe = llamacpp.container(request())["livenessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 60
