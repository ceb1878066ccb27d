"""The way to Prometheus: one question, answered or not within a bounded time. Blocks; call it in a thread.

No question is asked twice here: who asks knows when the next one is due.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as ReadTimeout
from urllib3.util.retry import Retry

from smallmodel_operator.cluster.scraped import NONSENSE, WHOLE_SECONDS, NoAnswer, Vector

CONNECT_SECONDS, READ_SECONDS = 2.0, 8.0
"""Until it is connected, and until something of the answer comes."""
MOST_BYTES: Final = 64 * 2**20
"""Of an answer; 1,000 models on three gateways take about a fifth of it."""
CHUNK: Final = 2**16
WORDS: Final = 200
"""Of what Prometheus says is wrong with a question."""
_NO_RETRY: Final = Retry(total=0, read=False, redirect=False)


class Prometheus:
    """One server that speaks Prometheus' API, at `url`.

    `secret`: a folder that may hold `token` (a bearer token) and `ca.crt` (who is trusted beside nobody else). Both are
    read with each question, for the kubelet renews them.
    """

    def __init__(self, url: str, secret: Path | None = None) -> None:
        self.url = url.rstrip("/")
        self._secret = secret
        self._session = _Session()
        self._connection = PrometheusConnect(self.url, retry=_NO_RETRY, session=self._session)

    def query(self, text: str, at: float | None = None) -> Vector:
        """The instant vector a query comes to, now or at a time (Unix seconds).

        Raises:
            NoAnswer: it cannot be had.
        """
        self._session.trusted, token = self._files()
        self._connection.headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            found = self._connection.custom_query(text, params={} if at is None else {"time": repr(at)})
        except (requests.Timeout, ReadTimeout, TimeoutError) as error:
            raise NoAnswer(f"no answer within {WHOLE_SECONDS:g} s") from error
        except requests.exceptions.SSLError as error:
            raise NoAnswer("its certificate is not trusted") from error
        except (requests.ConnectionError, HTTPError) as error:
            raise NoAnswer("no connection") from error
        except (ValueError, LookupError, TypeError) as error:
            raise NoAnswer(NONSENSE) from error
        except (requests.RequestException, PrometheusApiClientException, OSError) as error:
            raise NoAnswer("the request failed") from error
        if not isinstance(found, list):
            raise NoAnswer(NONSENSE)
        return found

    def close(self) -> None:
        self._session.close()

    def _files(self) -> tuple[str | bool, str]:
        if self._secret is None:
            return True, ""
        token, authority = self._secret / "token", self._secret / "ca.crt"
        try:
            said = token.read_text().strip() if token.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise NoAnswer("the `token` of its Secret cannot be read") from error
        if not said.isprintable() or not said.isascii():
            raise NoAnswer("the `token` of its Secret is not one line of plain text")
        return str(authority) if authority.exists() else True, said


class _Session(requests.Session):
    """Reads an answer whole or not at all: one that trickles, never ends or leads elsewhere is none."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False  # a proxy for downloads leads out of the cluster
        self.trusted: str | bool = True

    def request(self, *args: Any, **options: Any) -> requests.Response:
        end = time.monotonic() + WHOLE_SECONDS
        bounds = {"timeout": (CONNECT_SECONDS, READ_SECONDS), "stream": True, "allow_redirects": False}
        with super().request(*args, **{**options, **bounds, "verify": self.trusted}) as response:
            response._content = _whole(response, end)
        if response.status_code != 200:
            raise NoAnswer(f"it answers status {response.status_code}{_error(response._content)}")
        return response


def _whole(response: requests.Response, end: float) -> bytes:
    body = bytearray()
    while piece := response.raw.read1(CHUNK, decode_content=True):
        body += piece
        if len(body) > MOST_BYTES:
            raise NoAnswer(f"its answer is longer than {MOST_BYTES // 2**20} MiB")
        if time.monotonic() > end:
            raise TimeoutError
    return bytes(body)


def _error(body: bytes) -> str:
    """What the API says is wrong with a question; a page of some proxy is left out."""
    try:
        said: Mapping[str, Any] = json.loads(body)
        words = " ".join(str(said["error"]).split())
    except (ValueError, LookupError, TypeError):
        return ""
    return f", {words[:WORDS]}" if words.isprintable() else ""
