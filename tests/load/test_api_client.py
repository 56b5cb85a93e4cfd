import http.server
import json
import threading

import pytest

from load.api_client import ApiClient, ApiError, parse_metrics
from load.parties import is_sampled, key_of, number_of


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _answer(self, status, body, kind="application/json"):
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    def do_GET(self):
        match self.path:
            case "/who":
                self._answer(200, {"authorization": self.headers["Authorization"]})
            case "/metrics":
                self._answer(200, b'# HELP a b\na 1.5\nb{x="y z"} 2\n', "text/plain")
            case "/drop":
                self.close_connection = True
            case _:
                self._answer(404, {"title": "Not found", "detail": "No such thing.", "errors": [{"detail": "#/id"}]})

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        given = json.loads(self.rfile.read(length))
        self._answer(200, {"token": f"for {given.get('tenant')}"})


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture
def api(server):
    client = ApiClient(server)
    yield client
    client.close()


def test_token_of_the_login_goes_with_every_request(api):
    api.log_in("boss", "secret", "acme")
    assert api.get("/who") == {"authorization": "Bearer for acme"}


def test_problem_is_told_with_its_details(api):
    with pytest.raises(ApiError, match=r"GET /nothing: 404 No such thing.; #/id") as fault:
        api.get("/nothing")
    assert fault.value.status == 404


def test_service_that_hangs_up_is_asked_once_more_and_then_reported(api):
    with pytest.raises(ApiError) as fault:
        api.get("/drop")
    assert fault.value.status == 0


def test_nobody_there_is_an_api_error():
    with pytest.raises(ApiError):
        ApiClient("http://127.0.0.1:9").get("/")


def test_metrics_are_read_with_their_labels(api):
    assert api.metrics() == {"a": 1.5, 'b{x="y z"}': 2.0}
    assert parse_metrics("") == {}


def test_address_that_is_none_is_refused():
    with pytest.raises(ValueError, match="no address of an API"):
        ApiClient("ftp://127.0.0.1")


@pytest.mark.parametrize("shown", [number_of("0000042"), "4930" + "10000042", "0301" + "0000042", "sip:+49301" + "0000042"])
def test_key_is_found_however_the_number_is_written(shown):
    assert key_of(shown) == "0000042"


@pytest.mark.parametrize("shown", [None, "", "anonymous", "601", "0000042"])
def test_number_that_is_none_of_ours_has_no_key(shown):
    assert key_of(shown) == ""


def test_both_sides_choose_the_same_calls_for_rtp_and_about_as_many_as_asked():
    chosen = [key for key in range(10_000) if is_sampled(f"{key:07d}", 0.25)]
    assert len(chosen) == pytest.approx(2500, rel=0.05)
    assert not is_sampled("1", 0.0)
    assert all(is_sampled(str(key), 1.0) for key in range(100))
