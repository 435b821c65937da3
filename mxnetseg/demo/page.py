"""The page itself: what is on it and what happens on it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import UserError
from .result import EMPTY, viewer, write_files
from .samples import write_samples
from .worker import Worker

__all__ = ["Limits", "make_page"]

_HERE = Path(__file__).parent
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


def make_page(worker: Worker, folder: Path, limits: Limits) -> gr.Blocks:
    """Everything on the page and what happens on it.

    Parameters
    ----------
    worker : Worker
        Runs the networks.
    folder : Path
        Receives results and samples.
    limits : Limits
        Of uploads.
    """
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
            text = "; ".join(filter(None, (error.found, error.expected)))
            # It stays until it is closed: nobody has to read against a clock.
            raise gr.Error(text, None, title="This does not work", print_exception=False) from None
        files = write_files(folder, Path(picture).stem, done)
        shown = viewer(files, done, time.perf_counter() - start)
        paths = (files.mask, files.colors, files.overlay)
        return (shown, *(gr.update(value=str(path), interactive=True) for path in paths))

    return segment
