"""What the reasons of scaling, of cost and of routes mean, and who must act; see conditions.py."""

from typing import Final

_NOBODY, _OPERATOR, _USER, _PLATFORM = "nobody", "the operator", "the model's owner", "the platform team"

SCALING_REASONS: Final[dict[str, tuple[str, str]]] = {
    "ExternalScaler": (_NOBODY, "`spec.replicas` counts, as it is written through the scale subresource."),
    "ExternalScalerSilent": (_USER, "Nobody wrote `spec.replicas` since the mode is External: what runs is kept."),
    "WithinCost": (_NOBODY, "What it costs is within the objective."),
    "BudgetLimited": (_NOBODY, "Money goes first: fewer replicas than latency asks for. The message has both numbers."),
    "FewTokens": (_NOBODY, "Too few tokens were counted this month to say what a million costs."),
    "SpendPending": (_OPERATOR, "The ledger was not read yet; nothing is limited by it before."),
    "CostInfeasible": (_USER, "Not even a replica that is always busy is that cheap; the message has the nearest."),
    "TokensTooDear": (_USER, "A million tokens cost more than asked for this month."),
    "BudgetAtRisk": (_USER, "The month will cost more than its budget, or has; the message says what is done."),
    "BudgetExhausted": (_USER, "Nothing of a budget is left: requests get 429, and a model sleeps."),
    "PriceMissing": (_PLATFORM, "The ComputeProfile does not say what its nodes cost, so nothing is limited."),
    "CurrencyMismatch": (_USER, "The objective is in another currency than the ComputeProfile's price."),
    "FollowingObjective": (_NOBODY, "Replicas follow the objective."),
    "ObjectiveMet": (_NOBODY, "As many answers as asked were within each bound."),
    "ObjectiveMissed": (_NOBODY, "Fewer answers than asked were within a bound; replicas follow."),
    "ObjectiveInfeasible": (_USER, "No number of replicas holds the objective; the message says what would."),
    "FewAnswers": (_NOBODY, "Too few answers were counted to say."),
    "ReplicasExhausted": (_USER, "More replicas are needed than `spec.scaling.maxReplicas` allows."),
    "PoolFull": (
        _PLATFORM,
        "Fewer replicas than wanted have room on the nodes; the message names who holds it. It waits its turn.",
    ),
    "TargetNotFound": (_USER, "A target of a route is a SmallModel that does not exist."),
    "TargetForbidden": (_USER, "A target is in another namespace, and its `spec.access.namespaces` lacks the route's."),
    "AdapterNotDeclared": (_USER, "A rule is for requests for an adapter that no target of it has in `spec.adapters`."),
    "TargetNotReady": (_USER, "A SmallModel that a route shares requests out to does not answer; its status says why."),
    "SignalsPending": (_OPERATOR, "The gateways are about to be asked; what runs is kept."),
    "SignalsMissing": (_PLATFORM, "Not every gateway says what comes: what runs is kept, never less."),
    "ConflictingScaler": (
        _USER,
        "Somebody else goes on writing the Deployment's replicas; the message names it. They are left to it.",
    ),
    "BudgetLeft": (_NOBODY, "Something is left of each of the route's budgets."),
    "BudgetLow": (_USER, "A budget's `softPercent` is reached; the message names it."),
    "CallersExhausted": (_USER, "Some callers have used up theirs and get 429; the others are served."),
    "BudgetUnknown": (_PLATFORM, "What gateways have counted cannot be read; what they hold they may use up."),
    "ClassifierRead": (_NOBODY, "The route's classifiers were read; the message says which."),
    "ClassifierNotFound": (_USER, "The ConfigMap with a classifier of the route, or its entry, does not exist."),
    "ClassifierInvalid": (_USER, "A classifier of the route cannot be read; the message says why."),
    "TaskClassUnknown": (_USER, "A rule names a class that the route's classifier does not know."),
}
