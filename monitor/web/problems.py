"""Errors as `application/problem+json` (RFC 9457): what was wrong, what was found, what is allowed."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from monitor.canary.runs import RunRefused
from monitor.delivery.errors import IdempotencyConflict, Overloaded, ShuttingDown, StoreUnavailable

CONTENT_TYPE: Final = "application/problem+json"
STORE_RETRY_AFTER_S: Final = 5

_logger = structlog.stdlib.get_logger(__name__)


class Problem(Exception):
    """An answer that is no success. `extra` are further members of the body; `headers` go along."""

    def __init__(
        self, status: HTTPStatus, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = extra

    def to_response(self) -> web.Response:
        """The answer as it is sent."""
        body = {"type": "about:blank", "title": self.status.phrase, "status": self.status.value, "detail": self.detail}
        return web.Response(
            status=self.status.value,
            body=orjson.dumps(body | self.extra),
            content_type=CONTENT_TYPE,
            headers=self.headers | {"Cache-Control": "no-store"},
        )


@web.middleware
async def problem_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever is raised becomes a problem, so that no caller ever meets HTML or a bare status."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.to_response()
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        return _from_http(error, request).to_response()
    except (Overloaded, ShuttingDown, StoreUnavailable, IdempotencyConflict, RunRefused) as error:
        return _from_domain(error).to_response()
    except ConnectionError:  # the caller went away; nobody reads this
        return Problem(HTTPStatus.BAD_REQUEST, "the connection broke").to_response()
    except Exception:
        _logger.exception("a request crashed", method=request.method, path=request.path)
        detail = "a bug in this service; its log has the details"
        return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail).to_response()


def _from_http(error: web.HTTPException, request: web.Request) -> Problem:
    status = HTTPStatus(error.status)
    headers = {key: value for key, value in error.headers.items() if key in ("Allow", "Retry-After")}
    match status:
        case HTTPStatus.NOT_FOUND:
            detail = f"there is no {request.path}; /openapi.json lists what there is"
        case HTTPStatus.METHOD_NOT_ALLOWED:
            detail = f"{request.method} is not allowed here; allowed: {headers.get('Allow', 'see /openapi.json')}"
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            detail = f"the body is larger than {request.client_max_size} bytes"
        case HTTPStatus.EXPECTATION_FAILED:
            found = request.headers.get("Expect", "")
            detail = f"Expect: {found[:100]!r} cannot be met; 100-continue is all that can"
        case _:
            detail = error.reason
    return Problem(status, detail, headers=headers)


def _from_domain(error: Overloaded | ShuttingDown | StoreUnavailable | IdempotencyConflict | RunRefused) -> Problem:
    match error:
        case Overloaded():
            after = {"Retry-After": str(error.retry_after_s)}
            return Problem(HTTPStatus.TOO_MANY_REQUESTS, str(error), headers=after)
        case IdempotencyConflict():
            return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        case RunRefused():
            return Problem(HTTPStatus.CONFLICT, str(error), reason=error.skip)
        case ShuttingDown() | StoreUnavailable():
            after = {"Retry-After": str(STORE_RETRY_AFTER_S)}
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers=after)
