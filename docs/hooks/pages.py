"""Pages that are written while the site is built: home, tutorials from notebooks, Python, changelog."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
_ORDER = ["index", "own_data", "first_steps", "new_model", "several_devices", "deploy_onnx", "reproduce"]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, and those of the Python interface to the navigation."""
    pages = {"index.md": home(), "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")}
    modules = list(public_modules())
    pages |= {_page(module): f"# {module}\n\n::: {module}\n" for module in modules}
    for name in [file.src_uri for file in files if file.src_uri.endswith(".ipynb")]:
        pages[name.replace(".ipynb", ".md")] = notebook(Path(config.docs_dir, name))
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    sections = {name: entry for entry in config.nav for name in entry}
    sections["Reference"]["Reference"] += [{"Python": _tree(modules)}, {"Changes": "changelog.md"}]
    sections["Tutorials"]["Tutorials"] = _tutorials(files)
    return files


def _tutorials(files: Files) -> list[str]:
    """Pages of the folder: those of the list first, in its order."""
    found = sorted(file.src_uri for file in files.documentation_pages() if file.src_uri.startswith("tutorials/"))
    return sorted(found, key=lambda name: [*_ORDER, Path(name).stem].index(Path(name).stem))


def home() -> str:
    """First screen of the README, and its table of pages."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first, *sections = text.split("\n## ")
    (pages,) = (section for section in sections if section.startswith("Documentation\n"))
    return f"{first}\n## {pages}"


def public_modules() -> Iterator[str]:
    """Modules that say what is public in them."""
    for path in sorted((ROOT / "mxnetseg").rglob("*.py")):
        if re.search(r"^__all__ = ", path.read_text(encoding="utf-8"), re.M):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _page(module: str) -> str:
    return f"reference/python/{module}.md"


def _tree(modules: list[str]) -> list[dict[str, Any]]:
    """Navigation of modules: a section for each package, its own page first."""
    tree: dict[str, Any] = {}
    for module in modules:
        place = tree
        for part in module.split("."):
            place = place.setdefault(part, {})
        place[""] = _page(module)
    return _branch(tree["mxnetseg"])


def _branch(place: dict[str, Any]) -> list[Any]:
    return [
        inner if not name else {name: inner[""] if set(inner) == {""} else _branch(inner)}
        for name, inner in sorted(place.items())
    ]


def notebook(path: Path) -> str:
    """Cells of a notebook as Markdown; text that a cell printed stands below it."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        parts += [_output(output) for output in cell.get("outputs", [])]
    return "\n\n".join(parts) + f'\n\nThis page is a notebook: <a href="{path.name}" download>{path.name}</a>.\n'


def _output(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if png := data.get("image/png"):
        return f"![output of the cell above](data:image/png;base64,{''.join(png).strip()})"
    return "```text\n" + "".join(output.get("text") or data.get("text/plain", "")) + "\n```"
