"""The one error of an automation: its input cannot be used, and the sender can correct it."""

from __future__ import annotations


class Refusal(Exception):
    """`code` is one word for programs; `message` says what is wrong, with the value, and what to do."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")
