"""The page of a live run in a real browser. Needs Chromium."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import driven
import pytest
from chromium import Browser

from cdipipe.cli.main import run as run_command
from cdipipe.live.monitor import Monitor
from cdipipe.live.page import make_page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
STATE = "document.getElementById('state')?.textContent"
CONTRAST = """(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => [r, g, b].map((v) => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const colour = parse(getComputedStyle(element).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.getClientRects().length || element.matches("option, script, noscript")) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${element.tagName} ${element.id} ${element.textContent} ${ratio}`);
  }
  return poor;
})()"""
DRAWN = """['pattern', 'amplitude', 'phase'].map((name) => {
  const canvas = document.getElementById(name);
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  return new Set(new Uint32Array(pixels.buffer)).size;
})"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def run():
    run = driven.Driven(Monitor("replay:shots.cxi", "cdi_nn", 5.0, 256))
    run.start()
    yield run
    run.is_done.set()
    run.join()


@pytest.fixture
def page(run):
    with make_page(run.monitor, "127.0.0.1:0", ["cdi_nn", "dpr"]) as page:
        yield page


def look(browser: Browser, page, width: int = 1400, height: int = 900, is_dark: bool = False) -> None:
    """The page, once it shows a run."""
    browser.size(width, height, is_dark)
    browser.leave()
    browser.open(page.url)
    browser.wait(f"document.readyState === 'complete' && {STATE} === 'running'")
    browser.wait(
        "document.getElementById('frame').textContent !== '' && document.querySelectorAll('#hits canvas').length"
    )


def test_the_history_is_read_where_one_points(browser, run, page):
    look(browser, page)
    label = "document.querySelectorAll('#history canvas')[3].getAttribute('aria-label')"
    rows = "document.querySelectorAll('#history canvas')[0].getAttribute('aria-label')"
    browser.wait(f"{rows}.startsWith('R-factor: R 0.1')")
    time.sleep(2.5)
    place = "(({left, top, width, height}) => [left + 48, top + height / 2, left + width - 9])"
    left, height, right = browser.ask(
        f"{place}(document.querySelectorAll('#history canvas')[3].getBoundingClientRect())"
    )
    run.is_done.set()  # the rates fall to nothing
    browser.wait(f"{label} === 'Frames per second: in 0, out 0, dropped 0'")
    browser.size(1400, 1600)
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=left, y=height)
    browser.wait(f"!{label}.startsWith('Frames per second: in 0')")
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=right, y=height)
    browser.wait(f"{label} === 'Frames per second: in 0, out 0, dropped 0'")
    if target := os.environ.get("CDIPIPE_PICTURES"):
        browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=(left + right) / 2, y=height)
        time.sleep(0.5)
        browser.picture(Path(target) / "page_pointed.png")


@pytest.mark.parametrize(("width", "is_dark"), [(1400, False), (1400, True), (400, False), (400, True)])
def test_a_run_is_shown_on_desks_and_phones(browser, run, page, width, is_dark):
    look(browser, page, width, 900 if width > 600 else 800, is_dark)
    before = browser.ask("document.querySelector('#numbers dd').textContent")
    browser.wait(f"document.querySelector('#numbers dd').textContent !== '{before}'")
    assert min(browser.ask(DRAWN)) > 5  # colours in each picture
    browser.wait("document.querySelector('#history canvas').getAttribute('aria-label').startsWith('R-factor: R 0.1')")
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask("document.querySelectorAll('#hits canvas').length") == 12
    assert browser.ask(CONTRAST) == []
    assert browser.faults == []
    assert {request.partition("?")[0].rpartition("/")[0] for request in browser.requests} == {page.url.rstrip("/")}
    if target := os.environ.get("CDIPIPE_PICTURES"):
        browser.picture(Path(target) / f"page_{width}_{'dark' if is_dark else 'light'}.png")


def test_everything_has_a_name(browser, run, page):
    look(browser, page)
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    nodes = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node["ignored"]]
    wanted = {"button", "combobox", "spinbutton", "checkbox", "image", "img", "form", "status"}
    named = [(role, name) for role, name in nodes if role in wanted - {"status"}]
    assert len(named) > 20 and [role for role, name in named if not name] == []
    assert ("button", "Pause") in named and ("combobox", "Method") in named and ("checkbox", "every frame") in named
    assert any("pattern of frame" in name for _, name in named)


def test_the_keyboard_is_enough(browser, run, page):
    look(browser, page)
    browser.press("Tab", 9)
    assert browser.ask("document.activeElement.id") == "pause"
    browser.press(" ", 32)
    browser.wait(f"{STATE} === 'paused'")
    assert run.monitor.controls.is_paused and browser.ask("document.getElementById('pause').textContent") == "Go on"
    browser.press(" ", 32)
    browser.wait(f"{STATE} === 'running'")
    browser.press("Tab", 9)
    assert browser.ask("document.activeElement.id") == "method"
    browser.press("ArrowDown", 40)
    browser.wait("document.getElementById('about').textContent.startsWith('dpr')")
    browser.press("Tab", 9)
    browser.call("Input.insertText", text="7.5")
    assert browser.ask("document.activeElement.value").endswith("7.5")
    browser.ask("document.activeElement.value = '7.5'")
    browser.press("Enter", 13)
    browser.wait("document.getElementById('answer').textContent === ''")
    late = time.monotonic() + 10
    while run.monitor.controls.hit_threshold != 7.5 and time.monotonic() < late:
        time.sleep(0.05)
    assert run.monitor.controls.hit_threshold == 7.5 and run.monitor.controls.method == "dpr"
    browser.ask("document.getElementById('every').focus()")
    browser.press(" ", 32)
    browser.wait("document.getElementById('threshold').value === ''")
    late = time.monotonic() + 10
    while run.monitor.controls.hit_threshold is not None and time.monotonic() < late:
        time.sleep(0.05)
    assert run.monitor.controls.hit_threshold is None and browser.faults == []


def test_it_says_that_it_is_disconnected_and_connects_again(browser, run):
    page = make_page(run.monitor, "127.0.0.1:0", ["cdi_nn"])
    page.start()
    look(browser, page)
    page.stop()
    browser.wait(f"{STATE} === 'disconnected'")
    assert "not live" in browser.ask("document.getElementById('banner').textContent")
    assert browser.ask("document.getElementById('pause').disabled")
    time.sleep(2)
    with make_page(run.monitor, page.url.removeprefix("http://").rstrip("/"), ["cdi_nn"]) as again:
        assert again.url == page.url
        browser.wait(f"{STATE} === 'running'", 30)
        assert browser.ask("document.getElementById('banner').hidden && !document.getElementById('pause').disabled")


def test_the_end_of_a_run_is_shown_and_the_next_run_appears(browser, run):
    with make_page(run.monitor, "127.0.0.1:0", ["cdi_nn"]) as page:
        look(browser, page)
        run.end()
    browser.wait(f"{STATE} === 'ended'")
    phased = f"{run.monitor.snapshot().phased:,}".replace(",", "\u202f")
    browser.wait(f"document.querySelectorAll('#numbers dd')[1].textContent === '{phased}'")
    assert "has ended" in browser.ask("document.getElementById('banner').textContent")
    other = driven.Driven(Monitor("replay:other.cxi", "cdi_nn", None, 16))
    with make_page(other.monitor, page.url.removeprefix("http://").rstrip("/"), ["cdi_nn"]):
        other.start()
        browser.wait(f"{STATE} === 'running'", 30)
        assert "other.cxi" in browser.ask("document.getElementById('about').textContent")
        other.end()


def test_a_browser_that_was_busy_gets_the_newest_at_once(browser, run, page):
    look(browser, page)
    browser.ask("(() => { const end = Date.now() + 3000; while (Date.now() < end); })()")
    newest = run.monitor.snapshot().phased
    script = "Number(document.querySelectorAll('#numbers dd')[1].textContent.replaceAll('\\u202f', ''))"
    browser.wait(f"{script} >= {newest}", 3)
    assert browser.faults == []


@pytest.fixture
def replay(tmp_path):
    """``cdipipe live`` at work on 100 patterns a second for 40 s, and the address of its page."""
    shots, words = tmp_path / "shots.cxi", "polygons --set size=32 --set count=32 --set photons=1e6"
    assert run_command(["simulate", *words.split(), "-o", str(shots)]) == 0
    command = [sys.executable, "-m", "cdipipe.cli.main", "live", f"replay:{shots}?rate=100&frames=4000", "--json"]
    command += ["-o", str(tmp_path / "out.cxi"), "--hits", "-1000", "--page", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process, process.stderr.readline().split()[-1]
        process.kill()


def number(browser: Browser, name: str) -> int:
    """A count that the page shows."""
    cells = "[...document.querySelectorAll('#numbers div')]"
    text = browser.ask(f"{cells}.find((cell) => cell.firstChild.textContent === '{name}').lastChild.textContent")
    return int(text.replace("\u202f", ""))


def assert_rests(browser: Browser, name: str) -> None:
    """A count stays for two seconds, once the batches under way are done."""
    late = time.monotonic() + 20
    before = number(browser, name)
    while time.monotonic() < late:
        time.sleep(2)
        if (now := number(browser, name)) == before:
            return
        before = now
    raise AssertionError(f"{name} goes on: {before}")


def test_a_replay_is_watched_and_steered(browser, replay):
    process, url = replay
    browser.size(1400, 900)
    browser.leave()
    browser.open(url)
    browser.wait(f"{STATE} === 'running' && document.getElementById('frame').textContent !== ''", 60)
    browser.ask("document.getElementById('pause').click()")
    browser.wait(f"{STATE} === 'paused'")
    received = number(browser, "received")
    assert_rests(browser, "phased")
    assert number(browser, "received") > received + 100
    browser.ask("document.getElementById('pause').click()")
    browser.wait(f"{STATE} === 'running'")
    browser.ask("document.getElementById('threshold').value = '1e6'")
    browser.ask("document.getElementById('set').click()")
    skipped = number(browser, "skipped")
    assert_rests(browser, "phased")
    assert number(browser, "skipped") > skipped
    browser.ask("document.getElementById('every').click()")
    browser.wait("document.getElementById('threshold').value === ''")
    browser.ask("document.getElementById('method').value = 'dpr'")
    browser.ask("document.getElementById('method').dispatchEvent(new Event('change'))")
    browser.wait("document.getElementById('banner').textContent.includes('no weights')")
    browser.wait("document.getElementById('method').value === 'cdi_nn'")
    totals = json.loads(process.communicate(timeout=200)[0])
    browser.wait(f"{STATE} === 'ended'")
    assert totals["received"] == 4000 and totals["dropped"] == 0
    shown = {name: number(browser, name) for name in ("received", "phased", "skipped")}
    assert shown == {name: totals[name] for name in shown}
    assert [
        fault for fault in browser.faults if "ERR_CONNECTION_REFUSED" not in fault
    ] == []  # it looks for the next run


ELSEWHERE = """<!doctype html><title>elsewhere</title><script>
window.told = [];
const socket = new WebSocket("ws://PLACE/live");
socket.onopen = () => { told.push("open"); socket.send('{"do": "pause", "is_paused": true}'); };
socket.onerror = () => told.push("refused");
fetch("http://PLACE/page.js").then(() => told.push("read"), () => told.push("unreadable"));
</script><iframe src="http://PLACE/" onload="told.push('framed ' + (this.contentDocument === null))"></iframe>"""


def test_a_page_of_elsewhere_gets_nothing(browser, run, page):
    text = ELSEWHERE.replace("PLACE", page.url.removeprefix("http://").rstrip("/")).encode()

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser.leave()
        browser.open(f"http://localhost:{server.server_port}/")
        browser.wait("window.told && told.length >= 2 && told.includes('refused')")
        browser.wait("told.includes('unreadable')")
        assert not {"open", "read"} & set(browser.ask("told"))
        assert not run.monitor.controls.is_paused
        browser.wait("true")
        assert any("frame-ancestors" in fault for fault in browser.faults), browser.faults
        server.shutdown()
