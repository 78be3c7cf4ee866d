"""Which variable counts for which address, what is reached directly, and what no proxy is."""

from __future__ import annotations

import pytest

from libs.common.proxies import Proxies, UnusableProxyError, is_here

ALL = {name: f"http://{name}.test:1" for name in ("http", "https", "all", "socks", "wss", "ws")}


def host_of(variables: dict[str, str], url: str) -> str | None:
    proxy = Proxies(variables).to(url)
    return None if proxy is None else proxy.host


@pytest.mark.parametrize(
    ("url", "order"),
    [
        ("wss://stream.binance.com:9443/stream", ["wss", "socks", "https", "all"]),
        ("https://api.binance.com/api", ["socks", "https", "all"]),
        ("ws://simulator:5100/binance", ["ws", "socks", "http", "all"]),
        ("http://simulator:5100/binance", ["socks", "http", "all"]),
    ],
)
def test_the_variables_count_in_their_order_and_no_other_counts(url: str, order: list[str]) -> None:
    variables = dict(ALL)
    for name in order:
        assert host_of(variables, url) == f"{name}.test"
        del variables[name]
    assert host_of(variables, url) is None


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.8.9.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "demo.localhost",
        "[::1]",
        "0.0.0.0",  # noqa: S104 -- asked for, not listened on
        "[::]",
        "[::ffff:127.0.0.1]",
    ],
)
@pytest.mark.parametrize("scheme", ["ws", "wss", "http", "https"])
def test_this_machine_is_reached_directly(host: str, scheme: str) -> None:
    assert host_of(ALL, f"{scheme}://{host}:5100/binance") is None


@pytest.mark.parametrize(
    "host", ["127.0.0.1.test", "localhost.test", "notlocalhost", "10.0.0.1", "simulator"]
)
def test_what_only_looks_like_this_machine_is_not(host: str) -> None:
    assert not is_here(host)


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "direct"),
    [
        ("*", "api.binance.com", 443, True),
        ("binance.com", "api.binance.com", 443, True),
        (".binance.com", "api.binance.com", 443, True),
        ("*.binance.com", "api.binance.com", 443, True),
        ("binance.com", "binance.com", 443, True),
        ("API.Binance.COM", "api.binance.com", 443, True),
        ("nance.com", "api.binance.com", 443, False),
        ("api.binance.com:443", "api.binance.com", 443, True),
        ("api.binance.com:9443", "api.binance.com", 443, False),
        ("okx.com, simulator ,", "simulator", 5100, True),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.1.2.3", "10.1.2.3", 443, True),
        ("fd00::/8", "[fd00::1]", 443, True),
        ("[fd00::1]:443", "[fd00::1]", 443, True),
        ("10.0.0.0/99", "10.1.2.3", 443, False),
        (f"okx.com:{'9' * 5000}", "okx.com", 443, False),
        ("", "okx.com", 443, False),
    ],
)
def test_no_proxy_is_honoured(no_proxy: str, host: str, port: int, *, direct: bool) -> None:
    variables = {"https": "http://proxy.test:3128", "no": no_proxy}
    assert (host_of(variables, f"https://{host}:{port}/") is None) is direct


@pytest.mark.parametrize(
    ("value", "shown", "resolves"),
    [
        ("http://proxy.test:3128", "http://proxy.test:3128", False),
        ("proxy.test:3128", "http://proxy.test:3128", False),
        ("https://user:pass@proxy.test:3128/", "https://proxy.test:3128", False),
        ("socks5://127.0.0.1:1080", "socks5://127.0.0.1:1080", False),
        ("socks5h://127.0.0.1:1080", "socks5h://127.0.0.1:1080", True),
        ("socks://127.0.0.1:1080", "socks5h://127.0.0.1:1080", True),
        ("socks4a://127.0.0.1:1080", "socks4a://127.0.0.1:1080", True),
        ("http://[fd00::1]:3128", "http://[fd00::1]:3128", False),
        ("http://bücher.test:1", "http://xn--bcher-kva.test:1", False),
    ],
)
def test_a_proxy_is_shown_without_its_credentials(value: str, shown: str, *, resolves: bool) -> None:
    proxy = Proxies({"https": value}).to("https://okx.test")
    assert proxy is not None
    assert str(proxy) == f"{shown} (HTTPS_PROXY)"
    assert proxy.resolves is resolves
    assert "pass" not in f"{proxy!s} {proxy!r}"


def test_credentials_are_passed_on_as_they_are() -> None:
    proxy = Proxies({"all": "http://trader:p%40ss%2Fw@proxy.test:1"}).to("https://okx.test")
    assert proxy is not None
    assert (proxy.username, proxy.password) == ("trader", "p@ss/w")
    assert proxy.url == "http://trader:p%40ss%2Fw@proxy.test:1"
    alone = Proxies({"all": "http://trader@proxy.test:1"}).to("https://okx.test")
    assert alone is not None
    assert alone.url == "http://trader:@proxy.test:1", "websockets wants a password, be it empty"


@pytest.mark.parametrize(
    "value",
    [
        "gopher://hunter2:1",
        "http://hunter2",
        "http://:3128",
        "http://hunter2:port",
        "hunter2",
        "http://hunter2:1/path",
        "http://hunter2:1?x",
        "http://[hunter2:1",
        "http://a..hunter2é:1",
    ],
)
def test_what_is_no_proxy_is_refused_by_its_variable_and_never_shown(value: str) -> None:
    with pytest.raises(UnusableProxyError) as error:
        Proxies({"https": value}).to("https://okx.test")
    assert str(error.value).startswith("HTTPS_PROXY ")
    assert "http://host:port" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_a_proxy_that_cannot_be_used_is_no_matter_where_none_is() -> None:
    assert Proxies({"https": "gopher://x"}).to("wss://127.0.0.1:1") is None
    assert Proxies({"https": "gopher://x", "no": "okx.com"}).to("wss://ws.okx.com:8443") is None


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_variables_of_either_case_are_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in (
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
        "NO_PROXY",
        "no_proxy",
        "SOCKS_PROXY",
    ):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, "http://proxy.test:3128")
    proxies = Proxies.of_environment()
    assert not proxies.none_set
    assert str(proxies.to("wss://ws.okx.com")) == "http://proxy.test:3128 (HTTPS_PROXY)"
    monkeypatch.setenv("NO_PROXY", "okx.com")
    assert Proxies.of_environment().to("wss://ws.okx.com") is None
