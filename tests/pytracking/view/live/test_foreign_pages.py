"""What pages of other sites can do to the live view in a real browser: nothing."""

import functools
import http.server
import json
import threading

import pytest

from pytracking.view.live.client import VisdomClient, VisdomWindow
from tests.helpers.live_page import Server

requests = pytest.importorskip("requests")

# Everything that a page can try without the user's help. It tells what the browser told it, which is little.
ATTACK = """
const [view, victim, done] = arguments;
const told = {};
const post = (path, body) => fetch(view + path, {method: 'POST', mode: 'no-cors', body: JSON.stringify(body)});
const read = async path => (await (await fetch(view + path, {method: 'POST', body: '{}'})).text());
const socket = (path, messages) => new Promise(resolve => {
  const open = new WebSocket(view.replace('http', 'ws') + path);
  const heard = [];
  open.onerror = () => resolve('refused');
  open.onmessage = message => heard.push(message.data);
  open.onopen = () => {
    for (const message of messages) open.send(JSON.stringify(message));
    setTimeout(() => { open.close(); resolve(heard.length ? 'heard' : 'open'); }, 500);
  };
});
const load = (tag, address) => new Promise(resolve => {
  const element = document.createElement(tag);
  element.onload = () => resolve('loaded');
  element.onerror = () => resolve('refused');
  element.src = view + address;
  document.body.append(element);
});
const key = {event_type: 'KeyPress', key: ' ', target: 'A', eid: 'main', pane_data: false};
(async () => {
  await post('env/x', {eid: victim}).catch(() => 0);
  await post('events', {eid: 'main', win: 'planted', data: [{type: 'text', content: '<b>planted</b>'}]}).catch(() => 0);
  told.read = await read('env_state').catch(() => 'refused');
  told.socket = await socket('socket', [
    {cmd: 'forward_to_vis', data: key},
    {cmd: 'save', eid: victim, prev_eid: 'main', data: {}},
    {cmd: 'delete_env', eid: victim},
  ]);
  told.vis_socket = await socket('vis_socket', [{cmd: 'echo', ...key}]);
  told.script = await load('script', 'static/js/jquery.min.js');
  done(told);
})();
"""


class Site(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def server(visdom_page, module_folder):
    server = Server("--env_path", str(module_folder / "views"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def victim(module_folder):
    """A file of the user beside the server's folder."""
    file = module_folder / "run.json"
    file.write_text("{}")
    return file


@pytest.fixture
def events(server):
    """What a run hears while the page does what it does."""
    events = []
    client = VisdomClient("localhost", server.port, {}, events.append, lambda: None)
    client.connect()
    client.show(VisdomWindow("A", [{"type": "text", "content": "secret"}]))
    yield events
    client.close()


@pytest.fixture
def site(tmp_path):
    """Another site: a port of its own."""
    (tmp_path / "index.html").write_text("<!doctype html><title>site</title><body></body>")
    handler = functools.partial(Site, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        yield site.server_address[1]
        site.shutdown()
        thread.join()


def attack(browser, server, victim, host="localhost"):
    browser.set_script_timeout(30)
    return browser.execute_async_script(ATTACK, f"http://{host}:{server.port}/", str(victim.with_suffix("")))


def state(server):
    """Names of the environments, and of the windows of the first."""
    names = requests.post(f"{server.address}/env_state", "{}", timeout=30).json()
    windows = requests.post(f"{server.address}/win_data", json.dumps({"win": None, "eid": "main"}), timeout=30).json()
    return names, set(windows)


REFUSED = {"read": "refused", "socket": "refused", "vis_socket": "refused", "script": "refused"}


@pytest.mark.parametrize("host", ["evil.test", "localhost", "127.0.0.1"])
def test_a_page_of_another_site_reaches_nothing(browser, server, victim, events, site, host):
    browser.get(f"http://{host}:{site}/")
    assert browser.title == "site"
    assert attack(browser, server, victim) == REFUSED
    assert state(server) == (["main"], {"A"})
    assert victim.read_text() == "{}" and events == []


def test_a_site_whose_name_leads_to_this_machine_reaches_nothing(browser, server, victim, events):
    """DNS rebinding: to the browser, the server itself is that site."""
    browser.get(f"http://evil.test:{server.port}/")
    assert "--allow_host evil.test" in browser.page_source
    told = attack(browser, server, victim, "evil.test")
    assert told.pop("read").startswith("this server is not known as 'evil.test")  # a refusal, which it may read
    assert told == {name: "refused" for name in told}
    assert state(server) == (["main"], {"A"})
    assert victim.read_text() == "{}" and events == []


def test_the_view_is_not_shown_inside_of_another_page(browser, server, site):
    browser.get(f"http://evil.test:{site}/")
    browser.execute_async_script(
        """
        const [address, done] = arguments;
        const frame = document.createElement('iframe');
        frame.onload = done;
        frame.src = address;
        document.body.append(frame);
        """,
        server.address,
    )
    browser.switch_to.frame(0)
    assert "ENV_LIST" not in browser.page_source and "visdom" not in browser.title
    browser.switch_to.default_content()


def test_the_view_s_own_page_can_do_it_all_but_leave_the_folder(browser, server, victim, events, module_folder):
    """The attack is one that works: from the view's own page it does, within the server's folder."""
    browser.get(server.address)
    told = attack(browser, server, victim)
    assert told == {"read": told["read"], "socket": "heard", "vis_socket": "heard", "script": "loaded"}
    assert "main" in told["read"]
    assert [event["key"] for event in events][:1] == [" "]
    assert state(server)[1] == {"A", "planted"}
    assert victim.read_text() == "{}"
    assert {path.name for path in module_folder.iterdir()} == {"run.json", "views"}
