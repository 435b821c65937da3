"""The page itself: what is on it, and the server behind it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from ..errors import ConfigError, UserError
from .guard import Guard
from .result import EMPTY, viewer, write_files
from .samples import write_samples
from .worker import Worker

__all__ = ["Limits", "Server", "serve"]

_HERE = Path(__file__).parent
_WAITING = 20  # pictures in the queue beyond which users are asked to come back
_KEEP = 3600  # seconds that uploads and results stay


@dataclass(frozen=True)
class Limits:
    """What is taken.

    Attributes
    ----------
    bytes, pixels : int
        Largest file and largest picture.
    """

    bytes: int
    pixels: int

    def __str__(self) -> str:
        return f"Pictures up to {self.bytes / 1e6:g} MB and {self.pixels / 1e6:g} million pixels."


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
    blocks = _page(worker, folder, limits).queue(max_size=_WAITING, api_open=False)
    try:
        blocks.launch(
            server_name=host,
            server_port=port or None,
            inbrowser=browse,
            max_file_size=limits.bytes,
            app_kwargs={"middleware": [Middleware(Guard, max_bytes=limits.bytes)]},
            theme=_theme(),
            css_paths=_HERE / "viewer.css",
            **_ALONE,
        )
    except OSError as error:
        blocks.close(verbose=False)
        raise ConfigError(f"cannot listen on {host}:{port}: {error}", "a free port", "--port 0 finds one") from error
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


def _page(worker: Worker, folder: Path, limits: Limits) -> gr.Blocks:
    names = list(worker.networks)
    with gr.Blocks(title="mxnetseg demo", analytics_enabled=False, delete_cache=(600, _KEEP)) as blocks:
        gr.HTML(f"<h1>mxnetseg</h1><p>Drop a picture; every pixel gets a class. {limits}</p>", elem_id="head")
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                picture = gr.Image(
                    label="Picture",
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "clipboard"],
                    height=260,
                    buttons=[],
                    elem_id="picture",
                )
                # The file is opened by the worker, which looks at its size first.
                picture.preprocess = lambda payload: payload and payload.path
                network = gr.Dropdown(names, value=names[0], label="Network", elem_id="network", filterable=False)
                button = gr.Button("Segment", variant="primary", elem_id="segment")
                gr.Examples(
                    [[str(path)] for path in write_samples(folder)],
                    picture,
                    label="Generated pictures to try",
                    cache_examples=False,
                    api_visibility="private",
                )
            with gr.Column(scale=2, min_width=300):
                result = gr.HTML(EMPTY, elem_id="result", js_on_load=(_HERE / "viewer.js").read_text("utf-8"))
                with gr.Row():
                    kinds = {"mask": "Download mask", "colors": "Download colours", "overlay": "Download overlay"}
                    downloads = [
                        gr.DownloadButton(label, interactive=False, size="md", elem_id=f"download-{kind}")
                        for kind, label in kinds.items()
                    ]
        gr.on(
            [picture.change, network.change, button.click],
            _handler(worker, folder, limits),
            [picture, network],
            [result, *downloads],
            concurrency_limit=1,
            trigger_mode="always_last",
            show_progress_on=result,
            api_visibility="private",
        )
    return blocks


def _handler(worker: Worker, folder: Path, limits: Limits) -> Any:
    def segment(picture: str | None, network: str, progress: gr.Progress = gr.Progress()) -> tuple[Any, ...]:  # noqa: B008
        if not picture:
            return (EMPTY, *(gr.update(value=None, interactive=False) for _ in range(3)))

        def show(done: int, total: int) -> None:
            progress((done, total), desc="segmenting", unit="windows")

        start = time.perf_counter()
        try:
            done = worker.segment(Path(picture), network, limits.pixels, show)
        except UserError as error:
            raise gr.Error(
                "; ".join(filter(None, (error.found, error.expected))),
                title="This does not work",
                print_exception=False,
            ) from None
        files = write_files(folder, Path(picture).stem, done)
        shown = viewer(files, done, time.perf_counter() - start)
        paths = (files.mask, files.colors, files.overlay)
        return (shown, *(gr.update(value=str(path), interactive=True) for path in paths))

    return segment
