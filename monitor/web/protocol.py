"""Answers what is not even a request as everything else: with a problem, and without a traceback in the log.

aiohttp answers such things itself, in plain text, before any handler or middleware of ours, and writes a traceback for
each: whoever sends rubbish could fill the log.
"""

from functools import partial
from http import HTTPStatus
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from monitor.web.bodies import UNREADABLE
from monitor.web.problems import Problem, problem_middleware

MAX_HEADER_BYTES: Final = 8_190
"""Of the request line, and of each header."""
_MOST_DETAIL_CHARS: Final = 200

_logger = structlog.stdlib.get_logger(__name__)


class ProblemConnection(web.RequestHandler):
    """A caller's connection."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        try:
            super().data_received(data)
        except IndexError:  # of a URL as http://[]@/; from here on the parser takes nothing, and says so properly
            super().data_received(data)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer, after which the connection is closed. What is our own fault aiohttp logs, and answers, itself."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return super().handle_error(request, status, exc, message)
        problem = _problem(HTTPStatus(status), exc, message)
        _logger.debug("what came is no request", remote=request.remote, detail=problem.detail)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way already")
        answer = problem.to_response()
        answer.force_close()
        return answer

    def log_exception(self, *args: Any, exc_info: BaseException | None = None, **kw: Any) -> None:
        """Rubbish that comes where the rest of a body should be is the caller's; all else is ours, and told."""
        if isinstance(exc_info, UNREADABLE):
            _logger.debug("what came is no body", detail=" ".join(str(exc_info).split())[:_MOST_DETAIL_CHARS])
        else:
            super().log_exception(*args, exc_info=exc_info, **kw)


def _problem(status: HTTPStatus, exc: BaseException | None, message: str | None) -> Problem:
    if isinstance(exc, LineTooLong):
        detail = f"the request line or a header is too long; {MAX_HEADER_BYTES} bytes are allowed for each"
        return Problem(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
    words = " ".join((message or "it cannot be read").split())
    return Problem(status, f"this is no proper request: {words[:_MOST_DETAIL_CHARS]}")


class ProblemServer(web.Server):
    """Makes the connections."""

    def __call__(self) -> web.RequestHandler:
        """One for a caller who has come."""
        return ProblemConnection(self, loop=self._loop, **self._kwargs)


class ProblemRunner(web.AppRunner):
    """An application's runner whose connections answer with problems."""

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = ProblemServer  # aiohttp has no place to say so; it only makes connections otherwise
        answer = partial(problem_middleware, handler=server.request_handler)  # an Expect is refused before middlewares
        server.request_handler = answer
        return server
