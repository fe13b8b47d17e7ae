"""What a broker refuses, each as Azure Service Bus reports it."""

from __future__ import annotations

from typing import ClassVar


class BrokerError(Exception):
    """What a broker refuses. `condition` is the AMQP error condition, `status` the code in a reply of $management."""

    condition: ClassVar[str] = "amqp:internal-error"
    status: ClassVar[int] = 500


class EntityNotFound(BrokerError):
    """No entity has this address."""

    condition, status = "amqp:not-found", 404


class NotAllowed(BrokerError):
    """The entity cannot be used in this way."""

    condition, status = "amqp:not-allowed", 400


class MessageLockLost(BrokerError):
    """The lock has ended, or the message is settled already."""

    condition, status = "com.microsoft:message-lock-lost", 410


class SessionLockLost(BrokerError):
    """The lock of the session has ended."""

    condition, status = "com.microsoft:session-lock-lost", 410


class SessionCannotBeLocked(BrokerError):
    """Another receiver has the session."""

    condition, status = "com.microsoft:session-cannot-be-locked", 409


class AcceptTimeout(BrokerError):
    """No session became free in time."""

    condition, status = "com.microsoft:timeout", 408


class MessageNotFound(BrokerError):
    """No deferred or scheduled message has this sequence number."""

    condition, status = "com.microsoft:message-not-found", 404


class RuleNotFound(BrokerError):
    """The subscription has no rule of this name."""

    condition, status = "amqp:not-found", 404


class RuleExists(BrokerError):
    """The subscription has a rule of this name already."""

    condition, status = "com.microsoft:entity-already-exists", 409


class BadFilter(BrokerError):
    """The filter or action of a rule cannot be used."""

    condition, status = "amqp:invalid-field", 400


class MessageTooLarge(BrokerError):
    """The message is larger than the entity takes."""

    condition, status = "amqp:link:message-size-exceeded", 400


class ServerBusy(BrokerError):
    """The broker cannot take it now; later it may."""

    condition, status = "com.microsoft:server-busy", 503


class NotSupported(BrokerError):
    """Service Bus can do this; this broker cannot."""

    condition, status = "amqp:not-implemented", 501
