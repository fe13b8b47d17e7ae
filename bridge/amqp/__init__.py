"""AMQP 1.0 in bytes: types, frames and messages. Both sides use it, the embedded broker and the functions host as its client."""
