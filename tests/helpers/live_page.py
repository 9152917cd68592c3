"""A real server of the live view, its page in a browser, and a real tracker: for the tests with a browser."""

import itertools
import json
import re
import subprocess
import sys
import threading
from pathlib import Path

from ltr.dataset.generated import benchmark_scene
from pytracking import Tracker
from pytracking.view.base import TargetTracker, TrackedFrame
from pytracking.view.live.visdom_view import VisdomView
from tests.helpers.comparing import wait_for
from tests.helpers.ports import free_port

REPO = Path(__file__).resolve().parents[2]

_FIND = """
const found = {};
for (const pane of document.querySelectorAll('.window')) {
  const titles = pane.querySelectorAll('.bar > div.pull-right');
  found[titles[titles.length - 1].textContent] = pane;
}
"""


class Server:
    """`python -m pytracking.view.server` in a process of its own, on a free port that it keeps when started again."""

    def __init__(self, *options):
        self.options = options
        self.port = free_port()
        self.process = None

    @property
    def address(self):
        return f"http://localhost:{self.port}"

    def start(self):
        command = [sys.executable, "-m", "pytracking.view.server", "--port", str(self.port), *self.options]
        self.process = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        line = self.process.stdout.readline()
        assert self.address in line, line + self.process.stdout.read()
        self._lines = []
        self._reader = threading.Thread(target=lambda: self._lines.extend(self.process.stdout), daemon=True)
        self._reader.start()

    def output(self):
        """What it printed, once it has ended."""
        self._reader.join()
        return "".join(self._lines)

    def memory(self):
        """What it holds at present, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) // 1024

    def kill(self):
        self.process.kill()
        self.process.wait()


class Page:
    """What a user sees and does."""

    def __init__(self, browser, address):
        self.browser = browser
        browser.get("about:blank")
        browser.get_log("browser"), browser.get_log("performance")
        browser.set_window_size(1600, 1100)
        browser.get(address)

    def titles(self):
        return set(self.browser.execute_script(_FIND + "return Object.keys(found)"))

    def window(self, title):
        return self.browser.execute_script(_FIND + "return found[arguments[0]]", title)

    def text(self, title):
        window = self.window(title)
        return "" if window is None else window.text

    def frame(self):
        """The number of the frame in the status window."""
        found = re.search(r"frame\s+(\d+)", self.text("Status"))
        return int(found[1]) if found else 0

    def state(self):
        """'running', 'paused', 'finished' or 'stopped'."""
        return self.browser.execute_script("const e = document.getElementById('view-state'); return e && e.textContent")

    def plot(self, title):
        """Plotly's own data and layout of a window's plot."""
        read = """
        const plot = found[arguments[0]] && found[arguments[0]].querySelector('.js-plotly-plot');
        return plot ? JSON.stringify({data: plot.data, layout: plot.layout}) : null;
        """
        text = self.browser.execute_script(_FIND + read, title)
        return None if text is None else json.loads(text)

    def rectangles(self):
        """The windows' rectangles: left, top, right, bottom."""
        read = """
        return Object.values(found).map(pane => {
          const r = pane.getBoundingClientRect();
          return [r.left, r.top, r.right, r.bottom];
        });
        """
        return self.browser.execute_script(_FIND + read)

    def press(self, key):
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.browser).send_keys(key).perform()

    def click(self, title):
        """Click into the middle of a window."""
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.browser).move_to_element(self.window(title)).click().perform()

    def switch(self, block):
        """Click on a block's check box."""
        from selenium.webdriver.common.by import By

        for row in self.window("Blocks").find_elements(By.TAG_NAME, "tr"):
            if row.text.strip() == block:
                return row.find_element(By.TAG_NAME, "input").click()
        raise AssertionError(f"no check box for {block}")

    def errors(self):
        """Errors that its scripts reported."""
        return [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]

    def hosts(self):
        """Hosts that it requested files from."""
        messages = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        urls = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        return {url.split("/")[2].split(":")[0] for url in urls if "://" in url}


def generated(frames=12):
    """Images and boxes of a generated sequence's beginning, forwards and backwards without end."""
    scene = benchmark_scene("scale")
    images, boxes = [scene.render(frame) for frame in range(frames)], scene.boxes()
    there_and_back = [*range(frames), *range(frames - 2, 0, -1)]
    return ((images[number], boxes[number]) for number in itertools.cycle(there_and_back))


class Run:
    """Runs a tracker in a thread of its own on pairs (image, true box); only the first box is required."""

    def __init__(self, port, frames=None, title="scale", total=None):
        self.said = []
        self.view = VisdomView("localhost", port, say=self.said.append)
        self.tracker = Tracker("atom", "ebm", device="cpu")
        self.frames, self.title, self.total = frames or generated(), title, total
        self.outputs = []
        self.stop = False
        self.failure = None
        self.thread = threading.Thread(target=self._work)

    def __enter__(self):
        self.thread.start()
        return self

    def at(self, frame):
        """Wait until this many frames are tracked."""
        wait_for(lambda: len(self.outputs) >= frame or not self.thread.is_alive())
        assert len(self.outputs) >= frame, self.failure

    def __exit__(self, *exception):
        self.end()
        self.view.close(True)

    def end(self):
        """Let it finish."""
        self.stop = True
        self.view._controls.resume()
        self.thread.join(60)
        assert not self.thread.is_alive() and self.failure is None, self.failure

    def state(self):
        """The part of the tracker's state that tracking changes and a test can read."""
        tracker = self.tracker
        return (tracker._frame, *tracker._center, *tracker._size, *tracker.classifier.filter.flatten().tolist())

    def _work(self):
        target_tracker = TargetTracker(self.tracker)
        try:
            for index, (image, truth) in enumerate(self.frames):
                request = self.view.request()
                if index == 0:
                    target = target_tracker.initialize(image, truth, request, truth)
                else:
                    target = target_tracker.track(image, request, truth)
                self.outputs.append(target.output)
                self.view.show(TrackedFrame(self.title, index, self.total, image, (target,)))
                if self.stop:
                    break
        except Exception as failure:
            self.failure = failure
