"""Azure Service Bus spoken over AMQP 1.0: the protocol face of the embedded queue."""
