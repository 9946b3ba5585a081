"""What a person reads where the hub does not answer: one line, whatever its client raises."""

import importlib

import huggingface_hub
import pytest
from huggingface_hub.errors import HTTPError

from scumble.cli.app import exit_code
from scumble.errors import BaseModelError
from scumble.families.find import open_base

CLIENT = importlib.import_module(HTTPError.__module__.partition(".")[0])
"""The library that this version of huggingface_hub fetches with."""

FAILURES = {
    kind.__name__: kind("")  # as a lost connection has it: without a word
    for kind in (
        CLIENT.ConnectError,
        CLIENT.ConnectTimeout,
        CLIENT.ReadTimeout,
        CLIENT.ReadError,
        CLIENT.WriteError,
        CLIENT.RemoteProtocolError,
        CLIENT.ProxyError,
        CLIENT.UnsupportedProtocol,
        CLIENT.TooManyRedirects,
        CLIENT.DecodingError,
    )
} | {"a broken disk": OSError(28, "No space left on device"), "a broken socket": ConnectionResetError()}


@pytest.fixture
def hub(hub_cache, monkeypatch):
    """Says how the hub answers, with an error or a status; nothing is asked of a network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)

    def answer(how):
        def handler(request):
            if isinstance(how, Exception):
                raise how
            return CLIENT.Response(how, request=request)

        huggingface_hub.set_client_factory(lambda: CLIENT.Client(transport=CLIENT.MockTransport(handler)))

    yield answer
    huggingface_hub.set_client_factory(huggingface_hub.utils._http.default_client_factory)


def test_not_every_failure_is_an_oserror():
    assert sum(isinstance(failure, OSError) for failure in FAILURES.values()) < len(FAILURES)


@pytest.mark.parametrize("failure", FAILURES)
def test_however_the_connection_fails_one_line_says_what_is_missing_and_how_to_get_it(failure, hub):
    hub(FAILURES[failure])
    with pytest.raises(BaseModelError) as caught:
        open_base("someone/else")
    text = str(caught.value)
    assert text.startswith("base someone/else: no such folder here, not whole in the hub cache, and ")
    assert "'hf download someone/else'" in text and "--base mini" in text
    assert "\n" not in text


def test_a_connection_that_breaks_off_is_named(hub):
    hub(FAILURES["ReadError"])
    with pytest.raises(BaseModelError, match=r"and fetching it failed: ReadError\. On a machine with internet"):
        open_base("someone/else")


def test_a_base_that_the_hub_does_not_give_is_said_with_the_hub_s_reason(hub):
    hub(401)
    with pytest.raises(BaseModelError, match=r"the hub does not give it: 401 Client Error\. Check the name, run 'hf a"):
        open_base("someone/else")


def test_the_command_line_prints_that_line_and_no_traceback(hub, capsys):
    hub(FAILURES["ProxyError"])
    assert exit_code(["generate", "a dog", "--base", "someone/else"]) == BaseModelError.exit_code
    said = capsys.readouterr().err
    assert said.startswith("error: base someone/else: ") and said.count("\n") == 1
