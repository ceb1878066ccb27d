"""One suite that every engine passes: the conformance of its adapter."""

from dataclasses import replace
from typing import Any

import pytest
from tests.fakes.objects import request

from smallmodel_operator.api.flags import ALLOWED_ARGS, OWNED
from smallmodel_operator.core.engine import GGUF, SAFETENSORS, Accelerator, weights_format
from smallmodel_operator.core.facts import WeightsFacts
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.serving import drain, metrics, revisions
from smallmodel_operator.serving.engines import ENGINES, unsupported
from smallmodel_operator.serving.types import ServingRequest

GPU = Accelerator("nvidia.com/gpu", 2, 24 * 2**30)
EVERY = pytest.mark.parametrize("engine", sorted(ENGINES))


def wish(engine: str, **changes: Any) -> ServingRequest:
    devices = None if engine == "LlamaCpp" else GPU
    return request(**{"engine": engine, "accelerator": devices, "context_size": 2048, "parallel_slots": 3, **changes})


def template(engine: str, **changes: Any) -> dict[str, Any]:
    return revisions.revision_2(wish(engine, **changes))["spec"]


def container(engine: str, **changes: Any) -> dict[str, Any]:
    (one,) = template(engine, **changes)["containers"]
    assert isinstance(one, dict)
    return one


def pairs(arguments: list[str]) -> dict[str, str]:
    return {a: b for a, b in zip(arguments, [*arguments[1:], ""], strict=True) if a.startswith("-")}


@EVERY
def test_no_argument_is_given_twice(engine: str) -> None:
    flags = [a for a in container(engine)["args"] if a.startswith("-")]
    assert len(flags) == len(set(flags))


@EVERY
def test_it_serves_the_declared_weights_at_the_declared_port(engine: str) -> None:
    made = container(engine, model_path="/weights/bot")
    assert "/weights/bot" in made["args"]
    assert pairs(made["args"])["--port"] == "8080"
    assert made["ports"] == [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]


@EVERY
def test_context_and_slots_are_the_declared_ones(engine: str) -> None:
    said = pairs(container(engine)["args"])
    whole = {
        "LlamaCpp": ("--ctx-size", 2048 * 3),
        "VLLM": ("--max-model-len", 2048),
        "TGI": ("--max-total-tokens", 2048),
    }
    slots = {
        "LlamaCpp": ("--parallel", 3),
        "VLLM": ("--max-num-seqs", 3),
        "TGI": ("--max-batch-total-tokens", 3 * 2048),
    }
    for flag, value in (whole[engine], slots[engine]):
        assert said[flag] == str(value)


@EVERY
def test_probes_ask_for_health_and_a_slow_answer_is_not_death(engine: str) -> None:
    made = container(engine)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert made[probe]["httpGet"] == {"path": "/health", "port": "http"}
    living = made["livenessProbe"]
    assert living["periodSeconds"] * living["failureThreshold"] >= 60


@EVERY
def test_it_drains_before_it_stops(engine: str) -> None:
    assert container(engine)["lifecycle"]["preStop"]["exec"]["command"] == drain.command(8080)
    assert template(engine)["terminationGracePeriodSeconds"] == drain.GRACE_SECONDS


@EVERY
def test_it_asks_for_the_engine_key_and_no_key_stands_in_the_template(engine: str) -> None:
    made = container(engine)
    file = "--api-key-file" in made["args"]
    given = [e for e in made["env"] if e.get("valueFrom", {}).get("secretKeyRef", {}).get("name") == "bot-engine-key"]
    assert file != bool(given), "by a file or by the environment, one of them"
    assert all(e["valueFrom"]["secretKeyRef"]["key"] == "key" for e in given)


@EVERY
def test_the_users_arguments_come_last(engine: str) -> None:
    assert container(engine, args=("--seed", "7"))["args"][-2:] == ["--seed", "7"]


@EVERY
def test_what_the_user_may_pass_is_nothing_the_operator_sets(engine: str) -> None:
    set_by_us = {a.split("=")[0] for a in container(engine)["args"] if a.startswith("-")}
    if engine in ALLOWED_ARGS:
        assert not set_by_us & set(ALLOWED_ARGS[engine])
    else:
        left = {"--no-webui", "--ctx-checkpoints"}  # refused by another list; a bound the user may move
        assert set_by_us - left <= set(OWNED)


@EVERY
def test_it_writes_only_where_it_may(engine: str) -> None:
    spec = template(engine)
    (made,) = spec["containers"]
    assert made["securityContext"]["readOnlyRootFilesystem"]
    assert {m["name"] for m in made["volumeMounts"]} == {v["name"] for v in spec["volumes"]}
    writable = {m["mountPath"] for m in made["volumeMounts"] if not m.get("readOnly")}
    assert "/tmp" in writable
    assert writable <= {"/tmp", "/dev/shm"}
    assert all("sizeLimit" in v["emptyDir"] for v in spec["volumes"] if "emptyDir" in v)


@EVERY
def test_every_measure_has_a_metric(engine: str) -> None:
    assert tuple(ENGINES[engine].METRICS) == metrics.EVERY


@EVERY
def test_its_weights_and_no_others(engine: str) -> None:
    kind = ENGINES[engine]
    assert weights_format(engine) == kind.FORMAT
    facts = WeightsFacts("a", "f", 1, 1, 1, "Q4_K_M", "llama", 1, 1, 1, 1, 1, 1, 1, 1, 1, format=kind.FORMAT)
    if kind.FORMAT == GGUF:
        assert unsupported(engine, facts) is None
        return
    assert kind.FORMAT == SAFETENSORS
    refused = unsupported(engine, facts)
    assert isinstance(refused, Refused)
    assert "'Q4_K_M'" in refused.message
    assert unsupported(engine, replace(facts, quantization="AWQ")) is None


@EVERY
def test_devices_are_a_limit_and_the_runtime_class_is_the_profiles(engine: str) -> None:
    spec = template(engine, accelerator=GPU, runtime_class="nvidia")
    (made,) = spec["containers"]
    assert made["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert spec["runtimeClassName"] == "nvidia"
    flag = {"LlamaCpp": ("--n-gpu-layers", "999"), "VLLM": ("--tensor-parallel-size", "2"), "TGI": ("--num-shard", "2")}
    name, value = flag[engine]
    assert pairs(made["args"])[name] == value


def test_without_devices_llama_cpp_is_what_it_was() -> None:
    spec = template("LlamaCpp")
    assert "runtimeClassName" not in spec
    assert "--n-gpu-layers" not in spec["containers"][0]["args"]
    assert revisions.inputs(request()) == revisions.inputs(wish("LlamaCpp", context_size=4096, parallel_slots=4))


def test_other_devices_are_another_wish() -> None:
    made = {revisions.inputs(wish("LlamaCpp", accelerator=a)) for a in (None, GPU, replace(GPU, count=1))}
    assert len(made) == 3


def test_pickles_are_never_loaded_and_prompts_never_logged_by_vllm() -> None:
    said = pairs(container("VLLM")["args"])
    assert (said["--load-format"], said["--max-log-len"]) == ("safetensors", "0")


@pytest.mark.parametrize(("quantization", "given"), [("AWQ", "awq"), ("BF16", None), ("FP8", "fp8")])
def test_tgi_is_told_how_weights_are_quantized(quantization: str, given: str | None) -> None:
    assert pairs(container("TGI", quantization=quantization)["args"]).get("--quantize") == given
