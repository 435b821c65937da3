"""A run as one self-contained page: pictures, curves, tables, configuration. No external resource is loaded."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import cv2
import numpy as np

from ..engine.atomic import replace_file
from .charts import Points, heat_table, line_chart

__all__ = ["Fact", "Report", "picture_rows", "read_log", "series", "write_report"]

TEMPLATE = Path(__file__).with_name("report.html")


@dataclass(frozen=True)
class Fact:
    """One figure of the page's head: what it is, its value, a remark."""

    label: str
    value: str
    remark: str = ""


@dataclass
class Report:
    """Everything on the page; empty parts are left out.

    Attributes
    ----------
    title, lead : str
        Heading and the sentence below it.
    facts : list of Fact
        Figures of the head.
    columns : list of str
        Titles of the picture columns.
    pictures : list of list of (alternative text, RGB uint8 ndarray of shape (H, W, 3))
        Rows of pictures, as many in each as there are columns.
    captions : list of str
        Text above each row of pictures; none when empty.
    pictures_title : str
        Heading above the pictures.
    classes : list of (name, (red, green, blue))
        Legend.
    curves : list of (title, {name: points}, x label, y range or None)
        Charts.
    table : list of dict
        Rows of the per-class table: ``class``, ``IoU`` and further columns; shares in 0..1.
    confusion : ndarray of shape (K, K), optional
        Pixel counts, rows are labels.
    timings : list of (name, value)
        Speed, with its protocol.
    tables : list of (title, header, rows)
        Further tables: texts, the first of each row is its name.
    environment : list of (name, value)
        Versions and settings.
    config : str
        Resolved configuration as YAML.
    steps : list of (text, command)
        What to do next.
    footer : str
        Last line.
    """

    title: str
    lead: str = ""
    facts: list[Fact] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    pictures: list[list[tuple[str, np.ndarray]]] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    pictures_title: str = "Predictions on images it has not seen"
    classes: list[tuple[str, tuple[int, int, int]]] = field(default_factory=list)
    curves: list[tuple[str, Mapping[str, Points], str, tuple[float, float] | None]] = field(default_factory=list)
    table: list[dict[str, Any]] = field(default_factory=list)
    confusion: np.ndarray | None = None
    timings: list[tuple[str, str]] = field(default_factory=list)
    tables: list[tuple[str, Sequence[str], Sequence[Sequence[str]]]] = field(default_factory=list)
    environment: list[tuple[str, str]] = field(default_factory=list)
    config: str = ""
    steps: list[tuple[str, str]] = field(default_factory=list)
    footer: str = ""


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """Rows of a JSON-lines file; lines cut off by a crash are left out (a resumed run goes on after them)."""
    rows = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            rows.append(json.loads(line))
    return rows


def series(rows: Iterable[Mapping[str, Any]], x: str, y: str) -> list[tuple[float, float]]:
    """Points of the rows that hold both keys as numbers."""
    return [(float(r[x]), float(r[y])) for r in rows if r.get(x) is not None and isinstance(r.get(y), int | float)]


def picture_rows(
    names: Sequence[str], columns: Mapping[str, Sequence[np.ndarray]]
) -> list[list[tuple[str, np.ndarray]]]:
    """Rows of pictures with their alternative texts, from one list of pictures per column."""
    return [[(f"{title} of {name}", column[i]) for title, column in columns.items()] for i, name in enumerate(names)]


def _data_url(image: np.ndarray) -> str:
    """Photographs as JPEG, flat colours as PNG, whichever is smaller."""
    bgr = np.ascontiguousarray(image[..., ::-1])
    kinds = {"png": cv2.imencode(".png", bgr)[1], "jpeg": cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]}
    kind = min(kinds, key=lambda k: len(kinds[k]))
    return f"data:image/{kind};base64,{base64.b64encode(kinds[kind].tobytes()).decode()}"


def _swatch(color: Sequence[int]) -> str:
    return f'<span class="swatch" style="background:rgb({",".join(str(int(c)) for c in color)})"></span>'


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>" if body else ""


def _facts(facts: Iterable[Fact]) -> str:
    return "".join(
        f"<div><dt>{escape(f.label)}</dt><dd>{escape(f.value)}<small>{escape(f.remark)}</small></dd></div>"
        for f in facts
    )


def _pictures(report: Report) -> str:
    if not report.pictures:
        return ""
    head = "".join(f'<span class="head">{escape(title)}</span>' for title in report.columns)
    captions = report.captions or [""] * len(report.pictures)
    cells = "".join(map(_picture_row, captions, report.pictures))
    legend = "".join(f"<li>{_swatch(color)}{escape(name)}</li>" for name, color in report.classes)
    return (
        f'<div class="panel"><div class="pictures" style="--columns:{len(report.columns)}">{head}{cells}</div>'
        f'<ul class="legend">{legend}</ul></div>'
    )


def _picture_row(caption: str, row: Sequence[tuple[str, np.ndarray]]) -> str:
    title = f'<span class="caption">{escape(caption)}</span>' if caption else ""
    return title + "".join(f'<img alt="{escape(alt)}" src="{_data_url(image)}">' for alt, image in row)


def _table(report: Report) -> str:
    if not report.table:
        return ""
    colors = dict(report.classes)
    keys = [key for key in report.table[0] if key != "class"]
    head = "".join(f'<th scope="col">{escape(key)}</th>' for key in keys)
    rows = []
    for row in report.table:
        name, iou = str(row["class"]), float(row.get("IoU") or 0.0)
        swatch = _swatch(colors[name]) if name in colors else ""
        cells = "".join(f"<td>{escape(_number(row[key]))}</td>" for key in keys)
        bar = f'<td class="bar"><span><i style="--v:{iou:.4f}"></i></span></td>'
        rows.append(f'<tr><th scope="row">{swatch}{escape(name)}</th>{bar}{cells}</tr>')
    return (
        f'<div class="panel scroll"><table><thead><tr><th scope="col">class</th><th scope="col" class="bar"></th>{head}'
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f'<tr><th scope="row">{escape(k)}</th><td>{escape(v)}</td></tr>' for k, v in pairs)
    return f'<div class="panel scroll"><table class="pairs"><tbody>{rows}</tbody></table></div>' if rows else ""


def _plain_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in header)
    lines = (f'<tr><th scope="row">{escape(name)}</th>{"".join(map(_cell, cells))}</tr>' for name, *cells in rows)
    table = f'<table class="plain"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
    return f'<div class="panel scroll">{table}</div>' if rows else ""


def _config(report: Report) -> str:
    if not report.config:
        return ""
    code = f"<pre><code>{escape(report.config)}</code></pre>"
    return f'<details class="panel"><summary>Resolved configuration of this run</summary>{code}</details>'


def _steps(report: Report) -> str:
    items = "".join(
        f"<dt>{escape(text)}</dt><dd><pre><code>{escape(command)}</code></pre></dd>" for text, command in report.steps
    )
    return f'<dl class="steps">{items}</dl>' if items else ""


def _cell(text: str) -> str:
    """Short texts stay on a line, long ones break anywhere."""
    if len(text) > 20:
        return f'<td class="long">{escape(text)}</td>'
    return f"<td>{escape(text.replace(' ', chr(0xA0)) if len(text) < 12 else text)}</td>"


def _charts(report: Report) -> str:
    charts = "".join(line_chart(*curve) for curve in report.curves)
    return f'<div class="charts">{charts}</div>' if charts else ""


def _confusion(report: Report) -> str:
    if report.confusion is None:
        return ""
    names = [name for name, _ in report.classes] or [str(row["class"]) for row in report.table]
    table = heat_table(report.confusion, names)
    return f'<div class="panel">{table}</div>'


def write_report(path: str | Path, report: Report) -> Path:
    """Write the page.

    Parameters
    ----------
    path : path
        HTML file; its folder is made.
    report : Report
        Content.

    Returns
    -------
    Path
        The file.
    """
    sections = [
        *(_section(title, _plain_table(header, rows)) for title, header, rows in report.tables),
        _section(report.pictures_title, _pictures(report)),
        _section("Training", _charts(report)),
        _section("Score per class", _table(report)),
        _section("Confusion matrix", _confusion(report)),
        _section("Speed", _pairs(report.timings)),
        _section("Environment", _pairs(report.environment)),
        _section("Configuration", _config(report)),
        _section("What next", _steps(report)),
    ]
    text = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(report.title),
        lead=escape(report.lead),
        facts=_facts(report.facts),
        sections="\n".join(filter(None, sections)),
        footer=escape(report.footer),
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text.encode())
    return path
