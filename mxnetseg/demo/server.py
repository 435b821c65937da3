"""The server behind the page."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from ..errors import ConfigError
from .guard import Guard
from .page import Limits, make_page
from .worker import Worker

__all__ = ["Server", "serve"]

_WAITING = 20  # pictures in the queue beyond which users are asked to come back


class Server:
    """A page that is being served.

    Attributes
    ----------
    url : str
        Its address.
    """

    def __init__(self, blocks: gr.Blocks):
        self._blocks, self.url = blocks, str(blocks.local_url)

    def wait(self) -> None:
        """Wait for an interrupt."""
        threading.Event().wait()

    def close(self) -> None:
        """End it."""
        self._blocks.close(verbose=False)


def serve(worker: Worker, folder: Path, limits: Limits, *, host: str, port: int, browse: bool = False) -> Server:
    """Begin to serve the page.

    Parameters
    ----------
    worker : Worker
        Runs the networks.
    folder : Path
        The only folder that is written to and read from; ``GRADIO_TEMP_DIR`` must name it.
    limits : Limits
        Of uploads.
    host, port : str, int
        Where to listen; port 0 takes the first free one from 7860.
    browse : bool
        Open the page in the browser.

    Raises
    ------
    ConfigError
        If the address cannot be listened on.
    """
    blocks = make_page(worker, folder, limits).queue(max_size=_WAITING, api_open=False)
    try:
        blocks.launch(
            server_name=host,
            server_port=port or None,
            inbrowser=browse,
            max_file_size=limits.bytes,
            app_kwargs={"middleware": [Middleware(Guard, max_bytes=limits.bytes)]},
            theme=_theme(),
            css_paths=Path(__file__).with_name("viewer.css"),
            **_ALONE,
        )
    except OSError as error:
        blocks.close(verbose=False)
        raise ConfigError(
            f"cannot listen on {host}:{port}", "an address of this machine, a free port", "--port 0 finds one"
        ) from error
    return Server(blocks)


# Nothing that speaks to other hosts or serves other files.
_ALONE: dict[str, Any] = {
    "share": False,
    "quiet": True,
    "prevent_thread_lock": True,
    "footer_links": [],
    "run_history": False,
    "enable_monitoring": False,
    "ssr_mode": False,
    "mcp_server": False,
    "pwa": False,
}


def _theme() -> gr.themes.Base:
    """Fonts of the system, since none are loaded; colours with enough contrast."""
    sans = ["system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"]
    mono = ["ui-monospace", "Menlo", "Consolas", "monospace"]
    base = gr.themes.Base(primary_hue="blue", neutral_hue="slate", font=sans, font_mono=mono)
    return base.set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_text_color="white",
        button_primary_text_color_dark="white",
    )
