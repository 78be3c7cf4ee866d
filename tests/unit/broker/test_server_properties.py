from pathlib import Path

import pytest

from broker.server_properties import Secured, properties_of, server_properties


def rendered(**changes: object) -> dict[str, str]:
    arguments: dict[str, object] = {
        "host": "127.0.0.1",
        "port": 19092,
        "controller_port": 19093,
        "extra": {},
    }
    log_dir = Path(str(changes.pop("log_dir", "/data/logs")))
    properties = properties_of(**(arguments | changes))  # type: ignore[arg-type]  # changes are a test's own
    text = server_properties(properties, log_dir)
    return dict(line.split("=", 1) for line in text.splitlines())


def as_java_reads(value: str) -> str:
    return value.encode("ascii").decode("unicode_escape").encode("utf-16", "surrogatepass").decode("utf-16")


def test_clients_and_controller_listen_where_told() -> None:
    properties = rendered(port=4000, controller_port=4001)
    assert properties["listeners"] == "PLAINTEXT://127.0.0.1:4000,CONTROLLER://127.0.0.1:4001"
    assert properties["advertised.listeners"] == "PLAINTEXT://127.0.0.1:4000"
    assert properties["controller.quorum.voters"] == "1@127.0.0.1:4001"


def test_an_ipv6_host_is_bracketed() -> None:
    assert rendered(host="::1")["advertised.listeners"] == "PLAINTEXT://[::1]:19092"


def test_one_node_is_enough_for_every_topic_of_kafka_itself() -> None:
    for name, value in rendered().items():
        if name.endswith(("replication.factor", "min.isr")):
            assert value == "1", name


def test_topics_exist_only_when_declared() -> None:
    assert rendered()["auto.create.topics.enable"] == "false"


@pytest.mark.parametrize(
    "folder", ["/data dir/logs", "/a\\b/logs", "/Bücher/логи", "/🦀/logs", "/a=b:c#d!/logs"]
)
def test_any_data_folder_survives_the_property_syntax(folder: str) -> None:
    assert as_java_reads(rendered(log_dir=Path(folder))["log.dirs"]) == folder


def test_equal_ports_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot share port 19092"):
        rendered(controller_port=19092)


def test_further_properties_win_and_are_read_as_they_were_given() -> None:
    properties = rendered(extra={"node.id": "3", "sasl.jaas.config": 'a "b\\c" ö;'})
    assert properties["node.id"] == "3"
    assert as_java_reads(properties["sasl.jaas.config"]) == 'a "b\\c" ö;'


def test_where_clients_say_who_they_are_every_listener_asks_for_it() -> None:
    secured = Secured("SASL_SSL", 4002, "its own", "me", 'a"\\b')
    properties = rendered(host="192.0.2.1", port=4000, controller_port=4001, secured=secured)
    assert as_java_reads(properties["listeners"]) == (
        "CLIENT://192.0.2.1:4000,INTERNAL://127.0.0.1:4002,CONTROLLER://127.0.0.1:4001"
    )
    assert properties["listener.security.protocol.map"] == (
        "CLIENT:SASL_SSL,INTERNAL:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT"
    )
    client = as_java_reads(properties["listener.name.client.plain.sasl.jaas.config"])
    assert client.endswith('PlainLoginModule required user_me="a\\"\\\\b";')
    for name in ("internal", "controller"):
        own = as_java_reads(properties[f"listener.name.{name}.plain.sasl.jaas.config"])
        assert own.endswith('user_native-broker="its own";')
        assert "user_me" not in own
