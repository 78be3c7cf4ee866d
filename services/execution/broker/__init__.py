"""The paper broker: fills, queues, what our own orders took, and orders on their own."""
