"""Models that want the same weights from several sources: whatever their Jobs are at, in whatever order they look."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.objects import NOW
from tests.unit.weights.test_jobs import SHA, request
from tests.unit.weights.test_peers import MOVES, SILENT, peer

from smallmodel_operator.api.names import ROLE_DOWNLOAD
from smallmodel_operator.core.facts import Progress, Snapshot
from smallmodel_operator.weights import peers
from smallmodel_operator.weights.parse import parse

MODELS = st.lists(st.integers(0, 3), min_size=1, max_size=6)
"""Which source each model names."""


def url(source: int) -> str:
    return f"https://s{source}.test/m.gguf"


def waits(source: int, jobs: dict[str, int], answering: frozenset[int]) -> bool:
    """Whether a model of this source waits while these peers (name: source) have Jobs."""
    wish = request(url(source), sha256=SHA)
    where = parse(wish.uri, "", wish.sha256)
    far: dict[str, Progress] = {n: MOVES if s in answering else SILENT for n, s in jobs.items() if s != source}
    snapshot = Snapshot(
        now=NOW,
        inspecting={where.artifact: tuple(jobs)} if jobs else {},
        peer_pods=tuple(peer(name, url(s)) for name, s in jobs.items()),
        peer_progress=far,
    )
    return peers.waits(wish, where, snapshot, ROLE_DOWNLOAD) is not None


@settings(max_examples=200)
@given(MODELS, st.frozensets(st.integers(0, 3)), st.permutations(range(6)))
def test_whoever_has_a_source_that_answers_gets_on_and_nothing_comes_twice(
    models: list[int], answering: frozenset[int], order: list[int]
) -> None:
    jobs: dict[str, int] = {}
    for n in (n for n in order if n < len(models)):
        source = models[n]
        if not waits(source, jobs, answering):
            assert source not in jobs.values(), "nobody is asked by two Jobs at a time"
            assert not answering & set(jobs.values()), "while one gets on, no other begins"
            jobs[f"m{n}"] = source
    assert bool(answering & set(models)) == bool(answering & set(jobs.values())), "a source that answers is asked"


@settings(max_examples=100)
@given(
    st.integers(0, 3), st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3)), st.frozensets(st.integers(0, 3))
)
def test_a_peer_more_that_gets_on_never_makes_a_model_begin(
    source: int, jobs: dict[str, int], answering: frozenset[int]
) -> None:
    before = waits(source, jobs, answering)
    assert waits(source, {**jobs, "zzz": 9}, answering | {9})
    assert before or not ({source} | answering) & set(jobs.values())
