"""Presidio's analyzer behind its HTTP interface (POST /analyze, GET /health, /supportedentities), without a network.

What it looks for: Presidio's own patterns, the recognizers of /etc/analyzer/recognizers.yaml (Presidio's format: names
as a `deny_list`, patterns), and what a spaCy pipeline in /opt/analyzer/models/LANGUAGE has learned. Without such a
pipeline a blank one splits the text into words. Asked for an entity that nothing here finds it says so with status 400:
Presidio alone would leave it out, and a caller would take "nothing found" for "looked for".

Texts are never logged and never in an answer. ANALYZER_LANGUAGES (en) and ANALYZER_PORT (3000) are its settings.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

RECOGNIZERS = Path("/etc/analyzer/recognizers.yaml")
MODELS = Path("/opt/analyzer/models")
MOST_BYTES = 1024 * 1024
MOST_WAITING = 64
"""Questions in hand; one more is refused, because whoever asks waits for less than a second."""

MOST_THREADS = 4
"""The node's processors are not the pod's."""
KNOWN = frozenset({"text", "language", "entities", "score_threshold"})
"""What else Presidio's own server takes would be looked for, or left out, by its words: nothing is done by halves."""
FIRST = "mail to a@example.com, call 212-555-0143"

logger = logging.getLogger("analyzer")


class Refused(Exception):  # noqa: N818 - says what is the matter
    """The question cannot be answered; the text says why and quotes nothing of what was to be analyzed."""


class Analyzer:
    """Of some languages. `engine`: Presidio's AnalyzerEngine, loaded."""

    def __init__(self, engine: Any, languages: Sequence[str]) -> None:
        self._engine = engine
        self.entities = {language: frozenset(engine.get_supported_entities(language)) for language in languages}

    def analyze(self, asked: Any) -> list[dict[str, Any]]:
        """The findings in a text, as Presidio's own server answers.

        Raises:
            Refused: it is no question, or asks for what nothing here finds.
        """
        if not isinstance(asked, dict) or not isinstance(text := asked.get("text"), str) or not text:
            raise Refused("text has to be a string that is not empty")
        language = asked.get("language")
        if not isinstance(language, str) or language not in self.entities:
            raise Refused(f"language has to be one of {', '.join(self.entities)}")
        wanted = asked.get("entities") or None
        if wanted is not None:
            if not isinstance(wanted, list) or not all(isinstance(entity, str) for entity in wanted):
                raise Refused("entities has to be a list of strings")
            if unknown := sorted(set(wanted) - self.entities[language]):
                raise Refused(f"nothing here finds {len(unknown)} of entities: see /supportedentities")
        if unknown := asked.keys() - KNOWN:
            raise Refused(f"{len(unknown)} of its members are not known here: {', '.join(sorted(KNOWN))} are")
        least = asked.get("score_threshold")
        if least is not None and (type(least) not in (int, float) or not 0 <= least <= 1):  # NaN is none
            raise Refused("score_threshold has to be a number, 0 to 1")
        found = self._engine.analyze(text=text, language=language, entities=wanted, score_threshold=least)
        return [{**one.to_dict(), "analysis_explanation": None, "recognition_metadata": None} for one in found]


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("the body is not JSON") from None  # without its cause, which quotes it


def offline() -> None:
    """Presidio checks e-mail addresses by a list of suffixes that tldextract would ask the network for: it uses the
    list that came with it, and writes nothing."""
    import tldextract.tldextract as suffixes

    suffixes.TLD_EXTRACTOR = suffixes.TLDExtract(suffix_list_urls=(), cache_dir=None)


def load(languages: Sequence[str], recognizers: Path = RECOGNIZERS, models: Path = MODELS) -> Analyzer:
    """Everything it needs, in memory.

    Raises:
        Exception: a file is broken; its text names it.
    """
    import spacy
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    offline()

    class Loaded(SpacyNlpEngine):
        """Pipelines that are here already: Presidio's own class would download what it misses."""

        def load(self) -> None:
            self.nlp = {
                language: spacy.load(models / language) if (models / language).is_dir() else spacy.blank(language)
                for language in languages
            }

    pipelines = Loaded(models=[{"lang_code": language, "model_name": language} for language in languages])
    pipelines.load()
    registry = RecognizerRegistry(supported_languages=list(languages))
    registry.load_predefined_recognizers(languages=list(languages), nlp_engine=pipelines)
    for language in languages:
        if not pipelines.nlp[language].has_pipe("ner"):  # it would claim persons and places, and find none
            registry.remove_recognizer("SpacyRecognizer", language)
    if recognizers.is_file():
        known = len(registry.recognizers)
        try:
            registry.add_recognizers_from_yaml(recognizers)
        except Exception as error:
            raise ValueError(f"{recognizers}: {type(error).__name__}: {error}") from None
        for added in registry.recognizers[known:]:
            if added.supported_language not in languages:
                raise ValueError(
                    f"{recognizers}: {added.name} is of {added.supported_language}, not of ANALYZER_LANGUAGES"
                )
    engine = AnalyzerEngine(registry=registry, nlp_engine=pipelines, supported_languages=list(languages))
    analyzer = Analyzer(engine, languages)
    for language in languages:  # the first question loads what later ones use: nobody should wait for that
        analyzer.analyze({"text": FIRST, "language": language})
    return analyzer


def _answered(self: RequestHandler, request: Any, status: int = 500, exc: Any = None, message: Any = None) -> Any:
    """In place of aiohttp's own: what is not HTTP it answers and logs with a piece of what came."""
    answer = web.json_response({"error": "it is no request"}, status=status)
    answer.force_close()
    return answer


def application(analyzer: Analyzer, threads: int) -> web.Application:
    """Its HTTP interface. Texts are analyzed on `threads` threads; whoever goes away while waiting is not analyzed."""
    RequestHandler.handle_error = _answered
    pool = ThreadPoolExecutor(threads)
    waiting = 0

    async def analyze(request: web.Request) -> web.Response:
        nonlocal waiting
        if waiting >= MOST_WAITING:
            return web.json_response({"error": "too many questions at once"}, status=503)
        waiting += 1
        try:
            found = await asyncio.get_running_loop().run_in_executor(
                pool, analyzer.analyze, _read(await request.read())
            )
            return web.json_response(found)
        except Refused as error:
            return web.json_response({"error": str(error)}, status=400)
        except web.HTTPException:
            raise
        except Exception as error:
            logger.error("a text was not analyzed: %s", type(error).__name__)  # its words may quote the text
            return web.json_response({"error": "the text was not analyzed"}, status=500)
        finally:
            waiting -= 1

    async def health(_: web.Request) -> web.Response:
        return web.Response(text="Presidio Analyzer service is up")

    async def entities(request: web.Request) -> web.Response:
        language = request.query.get("language", next(iter(analyzer.entities)))
        return web.json_response(sorted(analyzer.entities.get(language, ())))

    made = web.Application(client_max_size=MOST_BYTES)
    made.router.add_post("/analyze", analyze)
    made.router.add_get("/health", health)
    made.router.add_get("/supportedentities", entities)
    return made


def check(analyzer: Analyzer) -> int:
    """When the image is built: it finds what it should, and does not claim what a blank pipeline cannot find."""
    for language, known in analyzer.entities.items():
        found = {one["entity_type"] for one in analyzer.analyze({"text": FIRST, "language": language})}
        if "EMAIL_ADDRESS" not in found:
            print(f"in language {language} no e-mail address is found", file=sys.stderr)
            return 1
        if "PERSON" in known and not (MODELS / language).is_dir() and not RECOGNIZERS.is_file():
            print(f"in language {language} nothing finds persons, and it is claimed", file=sys.stderr)
            return 1
    return 0


def own_log_alone() -> None:
    """Nobody else's words reach the log: Presidio and aiohttp say what they cannot read, and that is the text."""
    logging.getLogger().addHandler(logging.NullHandler())
    said = logging.StreamHandler()
    said.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    logger.addHandler(said)
    logger.propagate = False


def main(arguments: Sequence[str], serve: Callable[..., None] = web.run_app) -> int:
    own_log_alone()
    languages = os.environ.get("ANALYZER_LANGUAGES", "en").replace(",", " ").split()
    try:
        analyzer = load(languages)
    except Exception as error:
        print(f"the analyzer cannot begin: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if "--check" in arguments:
        return check(analyzer)
    for language, known in analyzer.entities.items():
        print(f"finds in language {language}: {', '.join(sorted(known))}", flush=True)
    port = int(os.environ.get("ANALYZER_PORT", "3000"))
    threads = min(MOST_THREADS, os.cpu_count() or 1)
    serve(
        application(analyzer, threads), host=None, port=port, access_log=None, print=None,
        handler_cancellation=True,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
