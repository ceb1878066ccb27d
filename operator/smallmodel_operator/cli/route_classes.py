"""`slm route evaluate` without two models: how often a classifier names the right class of a task."""

import json

from smallmodel_operator.cli.route import HALF, failed, microseconds, opened, progress, warn_if_learned
from smallmodel_operator.cli.route_data import NoData, classes
from smallmodel_operator.routing.choice import task_evaluation
from smallmodel_operator.routing.choice.classifier import TaskClass
from smallmodel_operator.routing.choice.examples import to_learn
from smallmodel_operator.routing.choice.training import TooLittle, learn_tasks


def evaluate_classes(dataset: str, classifier: str, threshold: float | None) -> int:
    """Print one JSON object: learned from one half of the rows (or read from a file), tested on the other."""
    try:
        labelled = classes(dataset)
        tested = [e for e in labelled if not to_learn(e[0])]
        if classifier:
            learned = opened(classifier)
            if not isinstance(learned, TaskClass):
                return failed(
                    f"{classifier} says when to escalate: name --strong and --weak, or give one learned from classes."
                )
            warn_if_learned(classifier, dataset, len(labelled))
        else:
            with progress() as told:
                learned = learn_tasks([e for e in labelled if to_learn(e[0])], told)
    except NoData as error:
        return failed(str(error))
    except TooLittle as error:
        return failed(f"{dataset}: {error}{HALF}")
    if not tested:
        return failed(f"{dataset}: no row has a prompt with an odd SHA-256, so there is none to test with: add rows.")
    least = learned.least if threshold is None else threshold
    found = task_evaluation.figures(learned, task_evaluation.tell(learned, tested, least))
    took = round(microseconds(learned.choose, [prompt for prompt, _ in tested]), 1)
    print(json.dumps({"threshold": round(least, 4), **found, "microseconds_per_decision": took}, ensure_ascii=False))
    return 0
