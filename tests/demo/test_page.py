"""The page in a real browser, served by the real command; and what its server refuses."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.demo.colors import stripes, write_network, write_picture

# Gradio is imported by the server only: that takes seconds.
if importlib.util.find_spec("gradio") is None:
    pytest.skip("gradio is not installed: make setup-dev", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
CONTRAST = (ROOT / "tests" / "contrast.js").read_text()
LIMIT = 200_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def url(folder):
    """Address of a running demo that takes 0.2 MB and a million pixels."""
    write_network(folder)
    (folder / "secret.txt").write_text("secret")
    limits = ["--max-megabytes", "0.2", "--max-pixels", "1", "--whole-limit", "0.5"]
    command = [sys.executable, "-m", "mxnetseg", "demo", "colors-symbol.json", "--port", "0", *limits]
    tmp = folder / "tmp"
    tmp.mkdir()
    paths = {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp), "GRADIO_ALLOWED_PATHS": str(folder)}
    server = subprocess.Popen(command, cwd=folder, env=os.environ | paths, stdout=subprocess.PIPE, text=True)
    try:
        yield re.match(r"demo: (http://127\.0\.0\.1:\d+/)", server.stdout.readline())[1]
    finally:
        server.terminate()
        server.wait(120)
    assert not list(tmp.iterdir())


@pytest.fixture
def visit(chromium, url):
    """Open the page as a further user; afterwards nothing went wrong in the browser, nothing left this machine."""
    contexts, wrong = [], []

    def watch(request):
        if not request.url.startswith((url, "data:", "blob:")):
            wrong.append(f"request to {request.url}")

    def open_page(scheme="light", width=1280):
        context = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("request", watch)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console",
            lambda m: m.type == "error" and "upload_progress" not in m.location["url"] and wrong.append(m.text),
        )
        page.goto(url)
        page.wait_for_selector("#segment")
        return page

    yield open_page
    for context in contexts:
        context.close()
    # Gradio asks for the progress of an upload even when that is over, and throws the answer (404).
    assert [text for text in wrong if text != "Response"] == []


def upload(page, path):
    page.locator("#picture input[type=file]").set_input_files(path)


def result(page):
    page.wait_for_selector("#result .viewer.ready")
    return {
        row.locator("th").inner_text(): row.locator("td").inner_text() for row in page.locator(".legend tbody tr").all()
    }


def pixel_color(page, x, y):
    """Colour of a pixel of the layer of classes."""
    script = "([x, y]) => [...document.querySelector('canvas.classes').getContext('2d').getImageData(x, y, 1, 1).data]"
    return page.evaluate(script, [x, y])[:3]


def test_a_picture_is_segmented_shown_and_downloaded(visit, tmp_path):
    page = visit()
    upload(page, write_picture(tmp_path / "my street.png", (300, 600), (1, 0, 0)))
    assert result(page) == {"road <b>": "66.7 %", "sky": "33.3 %"}
    assert pixel_color(page, 300, 50) == [70, 130, 180]

    box = page.locator(".stage").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.9)
    assert page.locator(".readout").inner_text() == "road <b> (class 0) at x 300, y 270"
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.1)
    assert page.locator(".readout").inner_text().startswith("sky (class 1)")

    downloads = {}
    for kind in ("mask", "colors", "overlay"):
        with page.expect_download() as started:
            page.locator(f"#download-{kind}").click()
        downloads[kind] = cv2.imread(started.value.path(), cv2.IMREAD_UNCHANGED)
    colors, labels = stripes((300, 600), (1, 0, 0))
    assert np.array_equal(downloads["mask"], labels)
    assert np.array_equal(downloads["colors"][..., ::-1], colors)
    assert np.array_equal(downloads["overlay"][:, :600, ::-1], colors)


def test_the_keyboard_is_enough(visit):
    page = visit()
    page.locator("#picture button, #picture [tabindex='0']").first.focus()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('.gallery') !== null"):
            break
    page.keyboard.press("Enter")
    assert sum(float(share.split()[0]) for share in result(page).values()) == pytest.approx(100, abs=0.2)

    page.locator("#segment").focus()
    reached = set()
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.className.split(' ')[0] + document.activeElement.id"))
        if "stage" in reached:
            break
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert re.search(r"\(class \d\) at x 300, y 156", page.locator(".readout").inner_text())
    assert page.locator(".probe").is_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    assert page.locator(".opacity output").inner_text() == "100 %"
    assert page.evaluate("getComputedStyle(document.querySelector('canvas.classes')).opacity") == "1"


def test_what_cannot_be_segmented_is_explained(visit, tmp_path):
    page = visit()
    (tmp_path / "text.png").write_text("no picture")
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "heavy.png"), noise)
    write_picture(tmp_path / "large.png", (1000, 1100))
    assert (tmp_path / "large.png").stat().st_size < LIMIT < (tmp_path / "heavy.png").stat().st_size
    for name, message in (("text", "not an image"), ("heavy", "size"), ("large", "1.1 million pixels")):
        upload(page, tmp_path / f"{name}.png")
        page.wait_for_function("text => document.querySelector('.toast-body')?.innerText.includes(text)", arg=message)
        page.locator(".toast-close").first.click()
        page.wait_for_function("() => !document.querySelector('.toast-body')")
        assert page.locator("#result .viewer").count() == 0
        if page.locator("#picture [aria-label='Remove Image']").count():
            page.locator("#picture [aria-label='Remove Image']").click()
    upload(page, write_picture(tmp_path / "good.png", (50, 80)))
    assert result(page) == {"road <b>": "50.0 %", "sky": "50.0 %"}


def test_two_users_at_once_get_their_own_results(visit, tmp_path):
    pages = [visit(), visit()]
    orders = [(0, 2), (1, 2, 2)]
    for page, order in zip(pages, orders, strict=True):
        upload(page, write_picture(tmp_path / f"{len(order)}.png", (600, 1200), order))
    assert [result(page) for page in pages] == [
        {"road <b>": "50.0 %", "grass": "50.0 %"},
        {"grass": "66.7 %", "sky": "33.3 %"},
    ]
    assert "windows" in pages[0].locator(".facts").inner_text()


def test_texts_have_contrast_and_nothing_is_cut_off(visit, tmp_path):
    page = visit()
    for scheme, width in (("light", 1280), ("dark", 390)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        page.reload()
        page.wait_for_selector("#segment")
        assert page.evaluate(CONTRAST) == []
        upload(page, write_picture(tmp_path / "a.png", (300, 600)))
        result(page)
        assert page.evaluate(CONTRAST) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.evaluate("document.querySelector('h1').style.color = '#666'")
    assert [text.split(":")[0] for text in page.evaluate(CONTRAST)] == ["H1 mxnetseg"]


def status(request):
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "secret.txt", "{folder}/secret.txt", "{folder}/colors-symbol.json", "/proc/self/environ",
     "%2fetc%2fpasswd", "../../../../etc/passwd", "http://127.0.0.1:1/", "https%3A//example.com/"],
)  # fmt: skip
def test_other_files_cannot_be_read(url, folder, path):
    code, _ = status(f"{url}gradio_api/file={path.format(folder=folder)}")
    assert code in (400, 403, 404)


def ask(url, picture):
    """Send a picture's description to the page's own function, as its script does; the last event."""
    data = {
        "data": [picture, "colors-symbol.json"],
        "fn_index": segment_index(url),
        "session_hash": os.urandom(8).hex(),
    }
    headers = {"content-type": "application/json"}
    join = urllib.request.Request(f"{url}gradio_api/queue/join", json.dumps(data).encode(), headers)
    assert status(join)[0] == 200
    stream = urllib.request.urlopen(f"{url}gradio_api/queue/data?session_hash={data['session_hash']}", timeout=60)
    for line in stream:
        event = json.loads(line.partition(b"data: ")[2] or b"{}")
        if event.get("msg") == "process_completed":
            return event


def segment_index(url):
    config = json.loads(status(f"{url}config")[1])
    return next(d["id"] for d in config["dependencies"] if len(d["outputs"]) == 4)


@pytest.mark.parametrize("path", ["/etc/passwd", "{folder}/secret.txt", "https://example.com/a.png"])
def test_files_that_were_not_uploaded_cannot_be_segmented(url, folder, path):
    file = {"path": path.format(folder=folder), "meta": {"_type": "gradio.FileData"}}
    event = ask(url, file)
    assert not event["success"]
    assert "secret" not in json.dumps(event["output"]).replace("secret.txt", "")


def test_heavy_requests_are_refused_whatever_their_form(url):
    heavy = b"x" * (LIMIT + 200_000)
    assert status(urllib.request.Request(f"{url}gradio_api/queue/join", heavy))[0] == 413
    boundary = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    form = {"content-type": "multipart/form-data; boundary=b"}
    body = boundary + b"x" * (LIMIT + 1000) + b"\r\n--b--\r\n"
    assert status(urllib.request.Request(f"{url}gradio_api/upload", body, form))[0] == 413


def test_the_page_loads_nothing_from_elsewhere_and_reports_to_nobody(url):
    with urllib.request.urlopen(url) as answer:
        policy = answer.headers["content-security-policy"]
        text = answer.read().decode()
    assert "default-src 'self'" in policy
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="https?://', text)
    config = json.loads(status(f"{url}config")[1])
    assert config["analytics_enabled"] is False
