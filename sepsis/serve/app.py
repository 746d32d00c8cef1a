"""
The endpoints and their OpenAPI: paths, answers and how errors become status codes.
"""

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

import sepsis
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
Risk that an ICU stay reaches Sepsis-3 onset, at every full hour, by what was charted up to it.

**{NOTICE}** Not for decisions on patients.

`POST /score` scores whole stays and forgets them; `POST /stays/{{stay_id}}/events` takes what is new of a
live stay and answers with the risks that are new or have changed. Both give what batch scoring gives.
Every answer that is no success is `{{where, found, expected, todo}}` and repeats nothing that was sent.
"""
_WHY = {
    400: "Not JSON, or asked for under the name of another host.",
    401: "No valid token.",
    404: "No such live stay.",
    408: "The body did not arrive in time.",
    409: "The stay is another subject's.",
    413: "The body is too large.",
    422: "A field breaks its rule, or the events cannot be read.",
    429: "There are as many live stays, or events of this one, as there may be.",
    500: "The service failed.",
    503: "Too many requests at once; see Retry-After.",
}
_RETRY = {"Retry-After": {"description": "Seconds.", "schema": {"type": "string"}}}


def _answers(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The refusals that any endpoint behind the gate may give, and those of its own."""
    return _refusals(400, 401, 408, 413, 500, 503, *codes)


def _refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Refusals as the OpenAPI says them."""
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
    """Whether it runs; needs no token and says nothing else."""
    return messages.Health(status="ok")


@router.get("/model", responses=_answers(), tags=["service"], response_model=messages.About)
def model(request: Request) -> dict[str, Any]:
    """The model, the variables it reads with their units, and the bounds of a request."""
    return _service(request).about()


@router.post("/score", responses=_answers(422), tags=["batch"], response_model=messages.Scores)
def score(request: Request, batch: messages.Batch) -> dict[str, Any]:
    """A risk for every full hour of several stays, or the reason why there is none; nothing is kept."""
    return _service(request).score(batch)


@router.post(
    "/stays/{stay_id}/events", responses=_answers(409, 422, 429), tags=["live"],
    response_model=messages.Changed,
)  # fmt: skip
def push(request: Request, stay_id: PathId, events: messages.Push) -> dict[str, Any]:
    """Take in new events of a live stay, late ones too; the answers that are new or have changed."""
    return _service(request).push(stay_id, events)


@router.get("/stays/{stay_id}", responses=_answers(404, 422), tags=["live"], response_model=messages.LiveStay)
def stay(request: Request, stay_id: PathId) -> dict[str, Any]:
    """Everything said of a live stay: by what is known now, and as it was given at the time."""
    return _service(request).stay(stay_id)


@router.delete(
    "/stays/{stay_id}", responses=_answers(404, 422), tags=["live"], response_model=messages.Discharged
)
def discharge(request: Request, stay_id: PathId) -> dict[str, Any]:
    """Forget a live stay, with its last risks."""
    return _service(request).discharge(stay_id)


def make_app(service: Service, token: str | None = None) -> FastAPI:
    """
    The ASGI application.

    Parameters
    ----------
    service : Service
        Its live stays are stored when the application stops, if it has a folder for them.
    token : str, optional
        Asked of every request but those for /health.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        app.state.failed = True  # until they are stored, whatever may happen
        try:
            service.save()
            app.state.failed = False
        except (SepsisError, OSError, BusyError) as error:
            log.error("The live stays could not be stored: %s.", type(error).__name__)

    app = FastAPI(
        title="sepsis",
        version=sepsis.__version__,
        description=DESCRIPTION,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_tags=[
            {"name": "service", "description": "What runs here."},
            {"name": "batch", "description": "Whole stays."},
            {"name": "live", "description": "Stays as they come in."},
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
    body = refusal("service", "is busy", todo="Ask again.")
    return JSONResponse(body, 503, {"Retry-After": WAIT_S})


def _unreadable(request: Request, error: Exception) -> JSONResponse:
    """400 where the body is no JSON, else 422; names of fields that the contract knows, and no content."""
    assert isinstance(error, RequestValidationError)
    problems = error.errors()
    first = problems[0]
    where = ".".join(_place(part) for part in first["loc"]) or "body"
    if first["type"] == "json_invalid":
        return JSONResponse(refusal("body", "is not JSON", "a JSON object"), 400)
    found = f"{len(problems)} fields break their rule; here: {first['type'].replace('_', ' ')}"
    return JSONResponse(refusal(where, found, "see /openapi.json"), 422)


_FIELDS = frozenset(
    name
    for kind in (messages.Batch, messages.WholeStay, messages.Push, messages.Event)
    for name in kind.model_fields
)


def _place(part: int | str) -> str:
    """A step of the path to a wrong field; a name that was sent may be anything, and is not repeated."""
    if isinstance(part, int):
        return str(part)
    return part if part in _FIELDS or part in ("body", "path") else "(unknown field)"


def _other(request: Request, error: Exception) -> JSONResponse:
    """No such path or method, and what FastAPI itself refuses."""
    assert isinstance(error, HTTPException)
    found = {404: "no such path", 405: "does not take this method"}.get(error.status_code, "cannot be read")
    where = "body" if error.status_code == 400 else "path"
    headers = dict(error.headers or {})
    if error.status_code == 405:  # the framework names the methods of the first route of the path only
        headers = {"Allow": ", ".join(sorted(_methods(request)))}
    return JSONResponse(refusal(where, found, "see /openapi.json"), error.status_code, headers)


def _methods(request: Request) -> set[str]:
    """The methods that the path of a request takes."""
    routes = [route for route in router.routes if isinstance(route, APIRoute)]
    here = [route for route in routes if route.path_regex.match(request.scope["path"])]
    return {method for route in here for method in route.methods or ()}


def _declare_token(app: FastAPI) -> None:
    """Say in the OpenAPI that every path but /health asks for a bearer token."""
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
