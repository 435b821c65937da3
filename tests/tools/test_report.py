"""The page is self-contained, escaped, complete."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from mxnetseg.tools.charts import heat_table, line_chart, thin
from mxnetseg.tools.report import Fact, Report, picture_rows, read_log, series, write_report

CLASSES = [("road & <way>", (128, 64, 128)), ("sky", (70, 130, 180))]


@pytest.fixture
def page(tmp_path):
    image = np.full((8, 16, 3), 200, np.uint8)
    report = Report(
        title="Run <1>",
        facts=[Fact("mIoU", "0.87", "on 3 images")],
        columns=["image", "prediction"],
        pictures=picture_rows(["a", "b"], {"image": [image] * 2, "prediction": [image] * 2}),
        classes=CLASSES,
        curves=[("Loss", {"loss": [(0, 2.0), (1, 1.0), (2, float("nan"))]}, "update", None)],
        table=[{"class": "sky", "IoU": 0.5, "pixels": 1234}, {"class": "road & <way>", "IoU": None, "pixels": 0}],
        confusion=np.array([[3, 1], [0, 0]]),
        timings=[("median", "20 ms")],
        config="model:\n  name: <x>\n",
        steps=[("Next", "mxnetseg train a=1 > b")],
        footer="end",
    )
    return write_report(tmp_path / "out" / "report.html", report).read_text()


class _Balance(HTMLParser):
    VOID = frozenset({"meta", "img", "line", "circle", "polyline", "br"})

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_tags_are_balanced(page):
    parser = _Balance()
    parser.feed(page)
    assert parser.open == []


def test_nothing_is_loaded_from_outside(page):
    assert not re.search(r"(https?:)?//[a-z]", page)
    assert all(url.startswith("data:image/") for url in re.findall(r'src="([^"]+)"', page))
    assert "<script" not in page


def test_text_is_escaped(page):
    assert "<way>" not in page
    assert "road &amp; &lt;way&gt;" in page
    assert "name: &lt;x&gt;" in page


def test_parts_are_there(page):
    for text in (
        "Run &lt;1&gt;",
        "0.87",
        "polyline",
        "1,234",
        "75.0",
        "20 ms",
        "prefers-color-scheme: dark",
        "viewport",
    ):
        assert text in page
    assert page.count("<img") == 4
    assert all(re.findall(r'<img alt="[^"]+"', page))


def test_empty_parts_are_left_out(tmp_path):
    text = write_report(tmp_path / "r.html", Report(title="t")).read_text()
    assert "<h2>" not in text


def test_log_cut_off_in_its_last_line_is_read(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "mIoU": 0.5}\n{"step": 3, "lo')
    rows = read_log(path)
    assert series(rows, "step", "loss") == [(1.0, 2.0)]


def test_thinning_keeps_the_mean():
    points = [(i, float(i % 7)) for i in range(700)]
    thinned = thin(points, 70)
    assert len(thinned) == 70
    assert np.isclose(np.mean([y for _, y in thinned]), 3.0)


@pytest.mark.parametrize("points", [[(0, -5.0), (10, 30.0)], [(0, 0.0)], [(0, -5.0), (1, -5.0)]])
def test_chart_stays_inside_its_box(points):
    text = line_chart("c", {"a": points, "b": []}, "x")
    pairs = [tuple(map(float, pair.split(","))) for pair in re.search(r'points="([^"]+)"', text)[1].split()]
    assert all(0 <= x <= 560 and 0 <= y <= 240 for x, y in pairs)


def test_heat_table_shows_row_percentages():
    cells = re.findall(r">([\d.]+)</td>", heat_table(np.array([[1, 3], [0, 0]]), ["a", "b"]))
    assert cells == ["25.0", "75.0", "0.0", "0.0"]
