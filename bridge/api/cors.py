"""Lets pages of the origins in the settings call the API from a browser (the CORS protocol of the Fetch standard)."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from bridge.api import problem
from bridge.errors import Forbidden

_METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS")
_EXPOSED = ("Location", "Retry-After", "WWW-Authenticate")
_REMEMBERED = 600  #: seconds for which a browser need not ask again


class Cors(CORSMiddleware):
    """Starlette's middleware, with refusals written as problems like everywhere else in the API.

    Any request header is allowed, because every extension of an event has a header of its own (`ce-…`). Credentials of the browser, such as
    cookies, are not allowed: a page sends its bearer token itself.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        super().__init__(
            app, allow_origins=origins, allow_methods=_METHODS, allow_headers=("*",), expose_headers=_EXPOSED, max_age=_REMEMBERED
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to a preflight request, in which a browser asks whether a page may send a request."""
        answer = super().preflight_response(request_headers)
        if answer.status_code == 200:
            del answer.headers["content-type"], answer.headers["content-length"]
            return Response(status_code=204, headers=answer.headers)
        asked, origin = request_headers["access-control-request-method"], request_headers["origin"]
        refused = problem.answer(
            Forbidden(
                f"A page of {origin[:100]!r} may not send a {asked[:20]!r} request.",
                hint=f"The methods are {', '.join(_METHODS)}." if self.is_allowed_origin(origin) else "List its origin under cors_origins.",
            )
        )
        refused.headers["vary"] = answer.headers["vary"]
        return refused
