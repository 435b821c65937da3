"""The command ``mxnetseg demo``: a page in the browser on which pictures are dropped and segmented."""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import tempfile
from pathlib import Path

from ..errors import ConfigError, DeviceError

__all__ = ["HELP", "add_arguments", "run"]

HELP = "segment pictures on a page in the browser"
EXAMPLES = """\
mxnetseg demo
mxnetseg demo weights/bisenet/RUN_best.params RUN_best.onnx --port 8000 --open
"""

_REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements-demo.txt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add(
        "networks",
        nargs="*",
        metavar="FILE",
        help="checkpoints (.params), exported symbols (-symbol.json) or ONNX files (.onnx) to choose from; "
        "everything in weights/ when empty",
    )
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (127.0.0.1: this machine only)")
    add("--port", type=int, default=7860, metavar="N", help="port; 0 takes a free one (7860)")
    add("--ctx", metavar="ID", help="GPU id, or cpu (GPU 0 if usable, else cpu)")
    add("--max-megabytes", type=float, default=20.0, metavar="MB", help="largest file that is taken (20)")
    add("--max-pixels", type=float, default=60.0, metavar="MPIX", help="largest picture, in million pixels (60)")
    add("--whole-limit", type=float, default=3.0, metavar="MPIX", help="larger pictures run in windows (3)")
    add("--open", action="store_true", help="open the page in the browser")


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    _check(args)
    from .networks import find_networks

    networks = find_networks(args.networks)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: nothing is left behind
    with tempfile.TemporaryDirectory(prefix="mxnetseg-demo-") as folder:
        _prepare_environment(folder)
        from ..engine.context import resolve_contexts
        from .page import Limits
        from .server import serve
        from .worker import Worker

        limits = Limits(int(args.max_megabytes * 1e6), int(args.max_pixels * 1e6))
        with Worker(networks, resolve_contexts([args.ctx] if args.ctx else None)[0], args.whole_limit) as worker:
            server = serve(worker, Path(folder), limits, host=args.host, port=args.port, browse=args.open)
            try:
                print(f"demo: {server.url} ({len(networks)} networks; Ctrl-C ends it)", flush=True)
                server.wait()
            finally:
                worker.end()
                server.close()
    return 0


def _prepare_environment(folder: str) -> None:
    """Say where uploads go and that nothing is reported to anybody, before Gradio is imported.

    Variables that were set for other pages must not open this one (GRADIO_ALLOWED_PATHS lets files be read).
    """
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ |= {
        "GRADIO_TEMP_DIR": folder,
        "GRADIO_EXAMPLES_CACHE": folder,
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
    }


def _check(args: argparse.Namespace) -> None:
    for flag in ("max_megabytes", "max_pixels", "whole_limit"):
        if getattr(args, flag) <= 0:
            raise ConfigError(f"--{flag.replace('_', '-')} {getattr(args, flag):g}", "more than 0")
    if importlib.util.find_spec("gradio") is None:
        command = f"pip install -r {_REQUIREMENTS.name}" if _REQUIREMENTS.is_file() else ""
        raise DeviceError(
            "Gradio, which shows the page, is not installed",
            "the packages of the optional part `demo`",
            command or 'pip install "mxnetseg[demo]"',
        )
