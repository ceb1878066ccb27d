"""The ledger in the benchmark does the operator's work: tokens, energy of both kinds, and a word on each budget."""

from hack.bench.scaling.ledger import Books
from prometheus_client import REGISTRY

NAMES = [("bench", f"ledger-{n}") for n in range(25)]


async def test_each_look_counts_tokens_and_energy_and_judges_budgets() -> None:
    books = Books(NAMES)
    for _ in range(21):
        await books.look(30)
    state = books.spending.state
    assert state is not None
    found = state.ledger["2026-11"].models
    assert found.keys() == {f"bench/{name}" for _, name in NAMES}
    for number, (_, name) in enumerate(NAMES):
        account = found[f"bench/{name}"]
        assert account.spent["EUR"] > 0
        assert account.usage.requests == 2 * 600, "as two gateways counted them since the ledger began"
        assert account.usage.prompt == (40 + number * 37 % 400) * account.usage.requests
        assert account.metered == account.usage.prompt + account.usage.generated
        assert account.energy.keys() == {"Kepler", "CpuSeconds"}
        assert account.energy["Kepler"] == 2 * 600 * 10**12
    assert books.memory.kept
    assert books.take() == set(NAMES), "each budget was judged"
    labels = {"namespace": "bench", "model": "ledger-0"}
    assert REGISTRY.get_sample_value("smallmodel_operator_cost_budget_spent_ratio", labels)
