"""A real single-node Kafka, run natively: no Docker, no Java or Maven to install."""
