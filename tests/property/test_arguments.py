"""Whatever arguments and variables a user writes: what the engine gets sets nothing that was refused.

The oracle is written apart from the rules: the kubelet's expansion of $(NAME), and how llama.cpp reads a name.
"""

from collections.abc import Mapping
from typing import Any

from hypothesis import event, example, given
from hypothesis import strategies as st
from tests.fakes import objects

from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.resolve import Site, parse, resolve
from smallmodel_operator.serving import revisions

FORBIDDEN = frozenset(
    {
        "--model", "-m", "--alias", "--host", "--port", "--ctx-size", "-c", "--parallel", "-np", "--threads", "-t",
        "--api-key", "--api-key-file", "--slots", "--tools", "--rpc", "-hf", "--hf-repo", "--model-url", "--webui",
        "--mcp-config", "--slot-save-path", "--log-file", "--verbose", "-v", "--models-dir", "--lora",
    }
)  # fmt: skip
READ_BY_THE_ENGINE = ("LLAMA_ARG_", "LLAMA_API_KEY", "GGML_", "LD_PRELOAD", "HF_TOKEN", "AIP_")

NAMES = ("A", "B")
flags = st.sampled_from(sorted(FORBIDDEN))
harmless = st.sampled_from(["--jinja", "--temp", "0.7", "--predict", "64", "$", "$$", "$$x", "(A)", "--no-warmup"])
hazards = st.one_of(
    flags,
    flags.map(lambda f: f.replace("-", "_").replace("__", "--", 1)),
    st.builds("{}={}".format, flags, st.sampled_from(["1", "x=y", ""])),
    st.builds("{}({}){}".format, st.sampled_from(["$", "$$", "$$$", "--$"]), st.sampled_from(NAMES),
              st.sampled_from(["", "=1", "-key"])),
    st.text("-_=$()ABamport", max_size=10),
)  # fmt: skip
dangerous = st.sampled_from(
    ["LLAMA_ARG_PORT", "LLAMA_API_KEY", "GGML_BACKEND_PATH", "AIP_MODE", "HF_TOKEN", "LD_PRELOAD"]
)


def with_one(ordinary: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Ordinary items with at most one odd one among them: with several, one rule's refusal would hide another's."""
    lists = st.lists(ordinary, max_size=3)
    return st.one_of(lists, st.builds(lambda before, x, after: [*before, x, *after], lists, odd, lists))


def variable(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value}


arguments = with_one(harmless, hazards)
environments = with_one(
    st.builds(variable, st.sampled_from([*NAMES, "TZ"]), st.one_of(harmless, flags)),
    st.one_of(st.builds(variable, dangerous, harmless), st.builds(variable, st.sampled_from(NAMES), hazards)),
)


def smuggled(flag: str, cut: int, dollars: str) -> tuple[list[str], list[dict[str, str]]]:
    """A flag of which a variable holds the end."""
    return [f"{flag[:cut]}{dollars}(A)"], [variable("A", flag[cut:])]


wishes = st.one_of(
    st.tuples(arguments, environments),
    st.builds(smuggled, flags, st.integers(0, 4), st.sampled_from(["$", "$$", "$$$"])),
)


def expand(text: str, known: Mapping[str, str]) -> str:
    """The kubelet's expansion: `$$` is a `$`, $(NAME) its value, an unknown one stays as it is."""
    done, i = "", 0
    while i < len(text):
        following = text[i + 1 : i + 2]
        end = text.find(")", i + 2)
        if text[i] != "$" or not following:
            done, i = done + text[i], i + 1
        elif following == "$":
            done, i = done + "$", i + 2
        elif following == "(" and end >= 0:
            name = text[i + 2 : end]
            done, i = done + known.get(name, f"$({name})"), end + 1
        else:
            done, i = done + text[i : i + 2], i + 2
    return done


def started(container: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of the process the kubelet starts."""
    known: dict[str, str] = {}
    for variable in container["env"]:
        known[variable["name"]] = expand(variable["value"], known)
    return [expand(a, known) for a in container["args"]], known


def option(argument: str) -> str:
    """The name llama.cpp looks up, and what an engine that splits at `=` would."""
    name = argument.partition("=")[0]
    return name.replace("_", "-") if name.startswith("--") else name


def serve(engine: Mapping[str, Any]) -> dict[str, Any]:
    """The engine's container.

    Raises:
        Refused: by the rules.
    """
    body = objects.model(engine=dict(engine))
    resolved = resolve(body, parse(body), objects.profile(), Site())
    request = objects.request(args=resolved.args, env=resolved.env)
    (container,) = revisions.REVISIONS[revisions.LATEST](request)["spec"]["containers"]
    return dict(container)


@given(wishes)
@example((["$(A)"], [variable("A", "--api-key")]))
@example((["$(A)$(B)"], [variable("A", "--api"), variable("B", "-key=x")]))
@example((["$$(A)"], []))
@example((["--api_key", "x"], []))
@example((["--port=1"], []))
@example((["--slot_save_path", "/x"], []))
@example(([], [variable("LLAMA_ARG_PORT", "1")]))
@example(([], [variable("AIP_MODE", "PREDICTION")]))
def test_what_is_let_in_sets_nothing_that_is_refused(wish: tuple[list[str], list[dict[str, str]]]) -> None:
    args, env = wish
    try:
        container = serve({"args": args, "env": env})
    except Refused:
        event("refused")
        return
    event("let in")
    ours = len(container["args"]) - len(args)
    heard, known = started(container)
    assert not {option(a) for a in heard[ours:]} & FORBIDDEN
    assert not [name for name in known if name.startswith(READ_BY_THE_ENGINE)]
    assert heard[:ours] == container["args"][:ours], "nor does a variable change what the operator wrote"


@given(st.lists(st.sampled_from(["--jinja", "--temp", "0.7", "--no-warmup", "$", "a$b", "(x)"]), max_size=5))
def test_ordinary_arguments_reach_the_engine_as_written(args: list[str]) -> None:
    container = serve({"args": args})
    heard, _ = started(container)
    assert heard[len(heard) - len(args) :] == args
