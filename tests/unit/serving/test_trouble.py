"""Each way a pod can fail becomes one sentence that names it and says what to do."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import objects

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.serving import trouble

MAGIC = """\
0.00.003.902 I srv          init: loading model
0.00.003.959 I srv    load_model: loading model '/weights/model.gguf'
0.00.004.059 E gguf_init_from_reader: invalid magic characters: 'abcd', expected 'GGUF'
0.00.004.191 E llama_model_load: error loading model: llama_model_loader: failed to load model from /weights/model.gguf
0.00.004.201 E llama_model_load_from_file_impl: failed to load model
0.00.004.297 E cmn  common_init_: failed to load model '/weights/model.gguf'
0.00.004.306 E srv    load_model: failed to load model, '/weights/model.gguf'
0.00.004.308 I srv    operator(): operator(): cleaning up before exit...
0.00.004.521 E srv          init: exiting due to model loading error
"""
"""What llama-server printed, word for word, on a file that is not GGUF."""
CUT = """\
0.00.006.327 I srv    load_model: loading model '/weights/model.gguf'
0.00.039.648 E llama_model_load: error loading model: tensor 'blk.6.ffn_gate.weight' data is not within the file \
bounds, model is corrupted or incomplete
0.00.039.707 E llama_model_load_from_file_impl: failed to load model
"""
"""The same on a file that was cut short."""
CUT_SAID = "tensor 'blk.6.ffn_gate.weight' data is not within the file bounds, model is corrupted or incomplete"
MAGIC_SAID = "invalid magic characters: 'abcd', expected 'GGUF'"
LOAD_FAILED = "0.00.031.902 I build: 6100 with gcc\n" + MAGIC


def find(*pods: Any, deployment: Any = None, largest: int | None = None) -> trouble.Trouble | None:
    return trouble.find(pods, deployment, objects.NOW, largest)


def found(*pods: Any, **more: Any) -> trouble.Trouble:
    result = find(*pods, **more)
    assert result is not None
    return result


@pytest.mark.parametrize(
    "reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"]
)
def test_an_image_that_cannot_be_pulled(reason: str) -> None:
    said = found(objects.waiting(reason, "manifest for registry.test/bot@sha256:… not found"))
    assert (said.reason, said.stuck) == (Reason.IMAGE_PULL_FAILED, True)
    assert "Pod bot-1" in said.message
    assert "manifest for registry.test/bot" in said.message
    assert "`spec.source.uri`" in said.message


def test_an_image_trouble_without_a_message_names_its_reason() -> None:
    assert "ErrImagePull" in found(objects.waiting("ErrImagePull")).message


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "CreateContainerError", "RunContainerError"])
def test_a_container_that_cannot_start(reason: str) -> None:
    said = found(objects.waiting(reason, 'exec: "/nope": no such file'))
    assert (said.reason, said.stuck) == (Reason.CONTAINER_CONFIG, True)
    assert 'exec: "/nope"' in said.message
    assert "`spec.engine`" in said.message


def test_a_crash_loop_says_what_the_engine_said_last_about_an_error() -> None:
    said = found(objects.crashed(LOAD_FAILED, code=1))
    assert (said.reason, said.stuck) == (Reason.CRASH_LOOP, True)
    assert "exit code 1 (3 restart(s))" in said.message
    assert "invalid magic characters: 'abcd', expected 'GGUF'" in said.message
    assert "kubectl logs bot-1 --previous" in said.message
    assert "build: 6100" not in said.message


def test_a_crash_without_a_word_still_says_where_to_look() -> None:
    said = found(objects.crashed("", code=139))
    assert "exit code 139 (3 restart(s)). `kubectl logs" in said.message


def test_an_engine_that_just_ended_is_told_before_it_is_restarted() -> None:
    pod = objects.waiting(
        "", lastState={}, state={"terminated": {"exitCode": 2, "message": "error: invalid argument: -x"}}
    )
    assert "error: invalid argument: -x" in found(pod).message


@pytest.mark.parametrize(("code", "reason"), [(137, "OOMKilled"), (1, "OOMKilled"), (137, "Error")])
def test_memory(code: int, reason: str) -> None:
    said = found(objects.crashed("", code=code, reason=reason, limit="512Mi"))
    assert (said.reason, said.stuck) == (Reason.OUT_OF_MEMORY, True)
    assert "at its limit of 512Mi" in said.message
    assert "`spec.compute.resources.limits.memory`" in said.message


def test_memory_without_a_limit_names_none() -> None:
    assert "limit of" not in found(objects.crashed("", code=137, reason="OOMKilled")).message


def test_unschedulable_passes_for_a_minute_and_asks_to_be_looked_at_when_it_is_over() -> None:
    said = found(objects.unschedulable(20))
    assert (said.reason, said.stuck, said.look_again_seconds) == (Reason.UNSCHEDULABLE, False, 40)


@pytest.mark.parametrize("seconds", [60, 61, 3600])
def test_unschedulable_after_a_minute_is_stuck_and_names_what_is_missing(seconds: int) -> None:
    said = found(objects.unschedulable(seconds))
    assert (said.reason, said.stuck, said.look_again_seconds) == (Reason.UNSCHEDULABLE, True, None)
    assert "1 Insufficient memory" in said.message
    assert "`spec.compute`" in said.message


def test_the_last_moment_still_asks_for_a_look() -> None:
    assert found(objects.unschedulable(59)).look_again_seconds == 1.0


def test_larger_than_any_node_is_stuck_at_once_with_both_sizes() -> None:
    said = found(objects.unschedulable(1, memory="64Gi"), largest=16 * 2**30)
    assert said.stuck
    assert "asks for 64.0 GiB of memory and the largest node has 16.0 GiB" in said.message
    assert "smaller quantization" in said.message


def test_a_pod_that_fits_some_node_gets_the_general_advice() -> None:
    said = found(objects.unschedulable(1, memory="1Gi"), largest=16 * 2**30)
    assert not said.stuck
    assert "largest node" not in said.message


def test_an_evicted_pod_is_told_as_passing() -> None:
    pod = objects.pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory.")
    said = found(pod)
    assert (said.reason, said.stuck) == (Reason.EVICTED, False)
    assert "low on resource: memory" in said.message


def test_other_failed_pods_are_left_to_their_replacement() -> None:
    assert find(objects.pod(phase="Failed", reason="NodeLost")) is None


@pytest.mark.parametrize(
    ("message", "reason", "way"),
    [
        ('pods "x" is forbidden: exceeded quota: q, requested: memory=1Gi', Reason.QUOTA_EXCEEDED, "ResourceQuota"),
        ('pods "x" is forbidden: violates PodSecurity "restricted:latest"', Reason.FORBIDDEN, "policy"),
    ],
)
def test_pods_that_may_not_be_created(message: str, reason: Reason, way: str) -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    said = found(deployment=objects.deployment(conditions=[condition]))
    assert (said.reason, said.stuck) == (reason, True)
    assert message in said.message
    assert way in said.message


def test_a_new_namespace_has_no_service_account_for_some_seconds() -> None:
    message = 'pods "x" is forbidden: error looking up service account crm/default: serviceaccount "default" not found'
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    said = found(deployment=objects.deployment(conditions=[condition]))
    assert (said.reason, said.stuck) == (Reason.FORBIDDEN, False)
    assert "tried again by themselves" in said.message


def test_a_passed_deadline() -> None:
    condition = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": 'ReplicaSet "bot-1" has timed out progressing.',
    }
    said = found(deployment=objects.deployment(conditions=[condition]))
    assert (said.reason, said.stuck) == (Reason.STARTING, True)
    assert "has timed out progressing" in said.message


def test_a_pods_own_trouble_beats_the_deployments() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    said = found(objects.waiting("ErrImagePull"), deployment=objects.deployment(conditions=[failure]))
    assert said.reason is Reason.IMAGE_PULL_FAILED


def test_stuck_beats_passing_whatever_the_order() -> None:
    passing, stuck = objects.unschedulable(5), objects.waiting("ErrImagePull", name="bot-2")
    assert found(passing, stuck).reason is Reason.IMAGE_PULL_FAILED
    assert found(stuck, passing).reason is Reason.IMAGE_PULL_FAILED


def test_a_crash_beside_a_pod_that_answers_is_found() -> None:
    assert found(objects.ready("bot-old"), objects.crashed(LOAD_FAILED)).reason is Reason.CRASH_LOOP


@pytest.mark.parametrize(
    "pod",
    [
        objects.ready(),
        objects.pod(),
        objects.waiting("ContainerCreating"),
        objects.waiting("PodInitializing"),
        {"metadata": {"name": "x"}},
        {"metadata": {"name": "x"}, "status": {}},
    ],
)
def test_a_pod_that_starts_or_answers_is_no_trouble(pod: Any) -> None:
    assert find(pod) is None


def test_a_pod_that_leaves_is_no_trouble() -> None:
    pod = objects.crashed(LOAD_FAILED)
    pod["metadata"]["deletionTimestamp"] = objects.ago(1)
    assert find(pod) is None


def test_a_healthy_deployment_is_no_trouble() -> None:
    conditions = [
        {"type": "Available", "status": "True"},
        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
        {"type": "ReplicaFailure", "status": "False"},
    ]
    assert find(deployment=objects.deployment(conditions=conditions)) is None
    assert find(deployment=objects.deployment()) is None


def test_long_messages_are_cut_and_flat() -> None:
    said = found(objects.waiting("ErrImagePull", "line\n" * 500))
    assert "\n" not in said.message
    assert len(said.message) < 700
    assert "…" in said.message


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (MAGIC, "invalid magic characters: 'abcd', expected 'GGUF'"),
        (CUT, f"error loading model: {CUT_SAID}"),
        (
            "llama_model_load: error loading model: unknown model architecture: 'x'",
            "error loading model: unknown model architecture: 'x'",
        ),
        ("srv    load_model: failed to load model, '/weights/m.gguf'", "failed to load model, '/weights/m.gguf'"),
        ("error: invalid argument: --nope", "error: invalid argument: --nope"),
        (
            'error while handling argument "-c": stoi\n\nusage:\n-c, --ctx-size N',
            'error while handling argument "-c": stoi',
        ),
        (
            "ggml_aligned_malloc: insufficient memory (attempted to allocate 9 MB)",
            "insufficient memory (attempted to allocate 9 MB)",
        ),
        ("ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected", ""),
        ("main: exiting due to HTTP server error", "exiting due to HTTP server error"),
        ("", ""),
        ("all is well\nI said hello", ""),
    ],
)
def test_what_an_engine_says_of_itself(log: str, said: str) -> None:
    assert trouble.engine_error(log) == said


_WORDS = ("error", "failed", "unable", "invalid", "unknown", "unsupported", "corrupt", "couldn't", "insufficient")


@given(st.text(max_size=3000).filter(lambda t: not any(w in t.lower() for w in (*_WORDS, "exiting"))))
def test_a_log_without_an_engines_error_leaks_nothing(log: str) -> None:
    assert trouble.engine_error(log) == ""


@given(
    st.sampled_from(
        ["srv  log_server_r: request:  ", "slot update_slots: prompt: ", '{"content": "', "user: ", "> ", ""]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), min_size=1),
    st.sampled_from([" error", " failed to", " unknown", " invalid argument", " cannot", ""]),
)
def test_a_prompt_that_speaks_of_errors_is_not_passed_on(before: str, prompt: str, word: str) -> None:
    """Whatever people write, wherever the engine may print it: the status never holds it."""
    assert trouble.engine_error(f"{MAGIC}{before}said {prompt}{word} {prompt}\n") == MAGIC_SAID
    assert trouble.engine_error(f"{before}said {prompt}{word} {prompt}\n") == ""


SECRET = "my card is 4111 1111 1111 1111"


@pytest.mark.parametrize(
    "line",
    [
        f"prompt: {SECRET}",
        f'{{"role": "user", "content": "{SECRET}"}}',
        f"slot 0 | {SECRET}, and it cannot be charged",
        f'request: {{"content": "there was an error with {SECRET}"}}',
        f"I cannot pay, {SECRET}",
        f"user: unable to pay, {SECRET}",
    ],
)
def test_a_prompt_in_the_log_is_not_passed_on(line: str) -> None:
    assert SECRET not in found(objects.crashed(f"{line}\n{LOAD_FAILED}")).message
    assert trouble.engine_error(f"{line}\n") == ""


def test_one_line_never_brings_the_next() -> None:
    assert trouble.engine_error(f"error: invalid argument: -x\n{SECRET}") == "error: invalid argument: -x"
