"""The endpoints and their OpenAPI description: paths, answers, and the status code of each error."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from sepsis.core import __version__
from sepsis.core.errors import SepsisError
from sepsis.live.refusals import ConflictError, TooManyError, UnknownStayError
from sepsis.serve import messages
from sepsis.serve.gate import Gate, refusal, refusal_of
from sepsis.serve.messages import PathId
from sepsis.serve.service import BusyError, Service
from sepsis.serve.settings import NOTICE

log = logging.getLogger("sepsis.serve")
STATUS = {UnknownStayError: 404, ConflictError: 409, TooManyError: 429}  # any other SepsisError is 422
WAIT_S = "1"  # of Retry-After

DESCRIPTION = f"""
Risk of Sepsis-3 onset during an ICU stay, at every full hour, from what was charted up to that hour.

**{NOTICE}** Not for decisions on patients.

`POST /score` scores whole stays and keeps nothing. `POST /stays/{{stay_id}}/events` takes new events of a
live stay and returns the risks that are new or have changed. Both equal batch scoring.
Every error is `{{where, found, expected, todo}}` and repeats nothing that was sent.
"""
_WHY = {
    400: "Not JSON, or addressed to another host name.",
    401: "No valid token.",
    404: "No such live stay.",
    408: "The body did not arrive in time.",
    409: "The stay belongs to another subject.",
    413: "The body is too large.",
    422: "A field is invalid, or the events cannot be read.",
    429: "The limit of live stays, or of events of this stay, is reached.",
    500: "The service failed.",
    503: "Too many requests at once; see Retry-After.",
}
_RETRY = {"Retry-After": {"description": "Seconds.", "schema": {"type": "string"}}}


def _answers(*codes: int) -> dict[int | str, dict[str, Any]]:
    return _refusals(400, 401, 408, 413, 500, 503, *codes)


def _refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    said: dict[int | str, dict[str, Any]] = {}
    for code in sorted(codes):
        said[code] = {"model": messages.Refusal, "description": _WHY[code]}
        if code in (429, 503):
            said[code]["headers"] = _RETRY
    return said


router = APIRouter()


def _service(request: Request) -> Service:
    return request.app.state.service


@router.get("/health", responses=_refusals(400, 500), tags=["service"])
async def health() -> messages.Health:
    """Whether the service is running; needs no token."""
    return messages.Health(status="ok")


@router.get("/model", responses=_answers(), tags=["service"], response_model=messages.About)
def model(request: Request) -> dict[str, Any]:
    """The model, its variables with units, and the limits of a request."""
    return _service(request).about()


@router.post("/score", responses=_answers(422), tags=["batch"], response_model=messages.Scores)
def score(request: Request, batch: messages.Batch) -> dict[str, Any]:
    """A risk for every full hour of several stays, or the reason there is none; nothing is kept."""
    return _service(request).score(batch)


@router.post(
    "/stays/{stay_id}/events", responses=_answers(409, 422, 429), tags=["live"],
    response_model=messages.Changed,
)  # fmt: skip
def push(request: Request, stay_id: PathId, events: messages.Push) -> dict[str, Any]:
    """Add new events of a live stay, including late ones; returns the risks that are new or have changed."""
    return _service(request).push(stay_id, events)


@router.get("/stays/{stay_id}", responses=_answers(404, 422), tags=["live"], response_model=messages.LiveStay)
def stay(request: Request, stay_id: PathId) -> dict[str, Any]:
    """All risks of a live stay: from what is known now, and as first given."""
    return _service(request).stay(stay_id)


@router.delete(
    "/stays/{stay_id}", responses=_answers(404, 422), tags=["live"], response_model=messages.Discharged
)
def discharge(request: Request, stay_id: PathId) -> dict[str, Any]:
    """Remove a live stay; returns its final risks."""
    return _service(request).discharge(stay_id)


def make_app(service: Service, token: str | None = None) -> FastAPI:
    """
    The ASGI application; live stays are stored when it stops, if the service has a state folder.

    `token` is required from every request except those for /health.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        app.state.failed = True  # until the live stays are stored
        try:
            service.save()
            app.state.failed = False
        except (SepsisError, OSError, BusyError) as error:
            log.error("The live stays could not be stored: %s.", type(error).__name__)

    app = FastAPI(
        title="sepsis",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_tags=[
            {"name": "service", "description": "The running service."},
            {"name": "batch", "description": "Whole stays."},
            {"name": "live", "description": "Live stays."},
        ],
    )
    app.state.service, app.state.failed = service, False
    app.include_router(router)
    app.add_middleware(Gate, token=token, limits=service.limits)
    app.add_exception_handler(SepsisError, _refused)
    app.add_exception_handler(BusyError, _busy)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(HTTPException, _other)
    if token is not None:
        _declare_token(app)
    return app


def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SepsisError)
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 422)
    headers = {"Retry-After": WAIT_S} if status == 429 else None
    return JSONResponse(refusal_of(error), status, headers)


def _busy(request: Request, error: Exception) -> JSONResponse:
    body = refusal("service", "is busy", todo="Try again.")
    return JSONResponse(body, 503, {"Retry-After": WAIT_S})


def _unreadable(request: Request, error: Exception) -> JSONResponse:
    """400 if the body is not JSON, else 422; names fields of the contract, never content."""
    assert isinstance(error, RequestValidationError)
    problems = error.errors()
    first = problems[0]
    where = ".".join(_place(part) for part in first["loc"]) or "body"
    if first["type"] == "json_invalid":
        return JSONResponse(refusal("body", "is not JSON", "a JSON object"), 400)
    found = f"{len(problems)} invalid fields; the first: {first['type'].replace('_', ' ')}"
    return JSONResponse(refusal(where, found, "see /openapi.json"), 422)


_FIELDS = frozenset(
    name
    for kind in (messages.Batch, messages.WholeStay, messages.Push, messages.Event)
    for name in kind.model_fields
)


def _place(part: int | str) -> str:
    """A step of the path to an invalid field; unknown names may be anything and are not repeated."""
    if isinstance(part, int):
        return str(part)
    return part if part in _FIELDS or part in ("body", "path") else "(unknown field)"


def _other(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    found = {404: "no such path", 405: "method not allowed"}.get(error.status_code, "cannot be read")
    where = "body" if error.status_code == 400 else "path"
    headers = dict(error.headers or {})
    if error.status_code == 405:  # the framework names only the methods of the path's first route
        headers = {"Allow": ", ".join(sorted(_methods(request)))}
    return JSONResponse(refusal(where, found, "see /openapi.json"), error.status_code, headers)


def _methods(request: Request) -> set[str]:
    routes = [route for route in router.routes if isinstance(route, APIRoute)]
    here = [route for route in routes if route.path_regex.match(request.scope["path"])]
    return {method for route in here for method in route.methods or ()}


def _declare_token(app: FastAPI) -> None:
    plain = app.openapi

    def with_token() -> dict[str, Any]:
        schema = plain()
        schema.setdefault("components", {})["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer"}
        }
        schema["security"] = [{"token": []}]
        schema["paths"]["/health"]["get"]["security"] = []
        return schema

    app.openapi = with_token  # type: ignore[method-assign]
