"""Links of pages to files of the repository that are no pages: pictures are copied, texts become pages."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
# Pages that come from a file elsewhere; their links count from there.
_ORIGINS = {"index.md": ROOT / "README.md", "changelog.md": ROOT / "CHANGELOG.md"}
_HOMES = {path: name for name, path in _ORIGINS.items()}
_LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(?=[)\s])")
_CODE = re.compile(r"^( *)(`{3,}).*?^\1\2`*$", re.M | re.S)
_PICTURES = (".png", ".jpg", ".svg")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what pages link to outside of the folder of pages."""
    for file in list(files.documentation_pages()):
        for path in _outside(file, config):
            files.append(_file(path, config))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to where their targets are in the site."""

    def rewrite(match: re.Match[str]) -> str:
        path = _target(match[2], page.file, config)
        if path is None:
            return match[0]
        return match[1] + os.path.relpath(_uri(path, config), Path(page.file.src_uri).parent) + (match[3] or "")

    parts = _split(markdown)
    return "".join(part if code else _LINK.sub(rewrite, part) for code, part in parts)


def _split(markdown: str) -> list[tuple[bool, str]]:
    """Parts of a text, and whether they are blocks of code."""
    parts, end = [], 0
    for block in _CODE.finditer(markdown):
        parts += [(False, markdown[end : block.start()]), (True, block[0])]
        end = block.end()
    return [*parts, (False, markdown[end:])]


def _outside(file: File, config: MkDocsConfig) -> set[Path]:
    text = "".join(part for code, part in _split(file.content_string) if not code)
    found = {_target(link, file, config) for _, link, _ in _LINK.findall(text)}
    return {path for path in found if path and path not in _HOMES and not path.is_relative_to(config.docs_dir)}


def _target(link: str, file: File, config: MkDocsConfig) -> Path | None:
    """File of the repository that a link means; none for other hosts and generated pages."""
    if re.match(r"[a-z]+:", link):
        return None
    origin = _ORIGINS.get(file.src_uri, Path(config.docs_dir, file.src_uri))
    path = (origin.parent / link).resolve()
    return path if path.is_file() and path.is_relative_to(ROOT) else None


def _uri(path: Path, config: MkDocsConfig) -> str:
    """Place of a file in the site."""
    if path in _HOMES:
        return _HOMES[path]
    if path.is_relative_to(config.docs_dir):
        return path.relative_to(config.docs_dir).as_posix().replace(".ipynb", ".md")  # pages.py makes a page of it
    name = path.relative_to(ROOT).as_posix()
    return f"files/{name}" if path.suffix in _PICTURES else f"files/{name}.md"


def _file(path: Path, config: MkDocsConfig) -> File:
    uri = _uri(path, config)
    if path.suffix in _PICTURES:
        return File.generated(config, uri, abs_src_path=str(path))
    language = path.suffix.lstrip(".").replace("cff", "yaml") or "text"
    name = path.relative_to(ROOT).as_posix()
    text = f"---\nsearch: {{exclude: true}}\n---\n# {name}\n\n````{language}\n{path.read_text(encoding='utf-8')}````\n"
    return File.generated(config, uri, content=text, inclusion=InclusionLevel.NOT_IN_NAV)
