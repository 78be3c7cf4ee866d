"""The `bookrunner` command: what is on Kafka, seen from a terminal."""
