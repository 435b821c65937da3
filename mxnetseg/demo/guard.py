"""What stands between the network and Gradio: sizes of requests, addresses, what the page may load."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

__all__ = ["Guard"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Gradio's page builds its scripts and styles at run time; nothing comes from another host, nothing is sent to one.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; connect-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
_HEADERS = {
    b"content-security-policy": _POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
}
# Form fields and boundaries around an upload.
_SLACK = 100_000


class Guard:
    """ASGI middleware that refuses what a page of pictures does not need.

    Bodies beyond the limit are refused as they arrive, whatever route and encoding; so are requests to fetch a file
    from another host.

    Parameters
    ----------
    app : ASGI application
        Gradio's.
    max_bytes : int
        Largest upload.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], max_bytes: int):
        self._app, self._limit = app, max_bytes + _SLACK

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle a connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if "file=http" in unquote(unquote(scope["path"])).lower() or "/proxy=" in scope["path"]:
            await _refuse(send, 403, b"only files of this page")
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._limit:
            await _refuse(send, 413, f"more than {self._limit - _SLACK} bytes".encode())
            return
        await self._app(scope, self._counted(receive), _with_headers(send))

    def _counted(self, receive: Receive) -> Receive:
        """Cut a body that goes on beyond the limit; the application sees a client that left."""
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            return {"type": "http.disconnect"} if seen > self._limit else message

        return counted


def _with_headers(send: Send) -> Send:
    async def extended(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *_HEADERS.items()]
        await send(message)

    return extended


async def _refuse(send: Send, status: int, text: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text})
