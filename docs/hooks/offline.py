"""The site loads nothing from other hosts; otherwise it is not built."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError

_LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\s(?:src|srcset|data)=["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|<link\b(?=[^>]*\srel=["']?(?:stylesheet|preconnect|preload|icon|dns-prefetch|modulepreload))[^>]*?\shref=["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|url\(["']?((?:https?:)?//[^"')]+)|@import\s+["']((?:https?:)?//[^"']+)"""
)


def loaded(text: str) -> list[str]:
    """Addresses on other hosts that a browser fetches by itself when it shows this page or style sheet."""
    return ["".join(groups) for groups in _LOADED.findall(text)]


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site with such addresses.

    Raises
    ------
    PluginError
        With the addresses, and a file of each.
    """
    site = Path(config.site_dir)
    files = [path for pattern in ("*.html", "*.css") for path in site.rglob(pattern)]
    found = {address: path for path in files for address in loaded(path.read_text(encoding="utf-8"))}
    if found:
        lines = (f"{address} by {path.relative_to(site)}" for address, path in found.items())
        raise PluginError("loaded from other hosts:\n" + "\n".join(lines))
