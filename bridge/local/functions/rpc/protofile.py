"""Message classes made from a `.proto` file when it is first needed.

Code from protoc is tied to the release of protobuf that made it, and would have to be made anew for each; the classes that protobuf makes
of a descriptor are the same. This reads what the two files beside it use of the language: proto3 messages, enums and oneofs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, empty_pb2, message_factory, timestamp_pb2, wrappers_pb2
from google.protobuf.message import Message

_COMMENT = re.compile(r"//[^\n]*")
_TOKEN = re.compile(r'"[^"]*"|[\w.]+|[{}()<>=;,]')
_KNOWN = (duration_pb2, empty_pb2, timestamp_pb2, wrappers_pb2)
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {name: getattr(_Field, f"TYPE_{name.upper()}") for name in ("string", "bytes", "bool", "double", "int32", "int64", "sint64")}


def classes(path: Path) -> dict[str, type[Message]]:
    """The class of each top-level message in the file, by its name."""
    pool = descriptor_pool.DescriptorPool()
    for known in _KNOWN:
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    described = _ProtoReader(path.read_text(encoding="utf-8"), path.name).file
    pool.Add(described)
    prefix = f"{described.package}." if described.package else ""
    return {each.name: message_factory.GetMessageClass(pool.FindMessageTypeByName(prefix + each.name)) for each in described.message_type}


class _ProtoReader:
    """Reads one file into a descriptor. The file is our own, so what it does not use is an assertion, not an error for users."""

    def __init__(self, text: str, name: str) -> None:
        self._tokens: Iterator[str] = iter(_TOKEN.findall(_COMMENT.sub("", text)))
        self.file = descriptor_pb2.FileDescriptorProto(name=name, syntax="proto3")
        for word in self._tokens:
            if word == "package":
                self.file.package = self._until(";")[0]
            elif word == "import":
                self.file.dependency.append(self._until(";")[0].strip('"'))
            elif word == "message":
                self._message(self.file.message_type.add())
            elif word == "service":
                self._skip_block()
            else:
                assert word == "syntax", word  # noqa: S101 - see the class
                self._until(";")

    def _until(self, end: str) -> list[str]:
        found: list[str] = []
        for word in self._tokens:
            if word == end:
                return found
            found.append(word)
        raise AssertionError(f"{self.file.name} ends before {end!r}")

    def _skip_block(self) -> None:
        self._until("}")

    def _message(self, message: descriptor_pb2.DescriptorProto) -> None:
        message.name, _ = next(self._tokens), next(self._tokens)
        for word in self._tokens:
            if word == "}":
                return
            if word == "enum":
                self._enum(message.enum_type.add())
            elif word == "oneof":
                message.oneof_decl.add(name=next(self._tokens))
                next(self._tokens)
                for kind in iter(self._tokens.__next__, "}"):
                    self._field(message, kind).oneof_index = len(message.oneof_decl) - 1
            else:
                self._field(message, word)

    def _enum(self, enum: descriptor_pb2.EnumDescriptorProto) -> None:
        enum.name, _ = next(self._tokens), next(self._tokens)
        for word in iter(self._tokens.__next__, "}"):
            _, number = self._until(";")
            enum.value.add(name=word, number=int(number))

    def _field(self, message: descriptor_pb2.DescriptorProto, word: str) -> descriptor_pb2.FieldDescriptorProto:
        repeated = word in ("repeated", "map")
        if word == "map":
            return self._map(message)
        kind = next(self._tokens) if repeated else word
        name, _, number = self._until(";")
        label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
        return self._typed(message.field.add(name=name, number=int(number), label=label), kind, message)

    def _map(self, message: descriptor_pb2.DescriptorProto) -> descriptor_pb2.FieldDescriptorProto:
        """A map is a repeated message of keys and values (protobuf's guide, "Maps")."""
        _, key, _, value = self._until(">")
        name, _, number = self._until(";")
        entry = message.nested_type.add(name="".join(part.capitalize() for part in name.split("_")) + "Entry")
        entry.options.map_entry = True
        self._typed(entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL), key, message)
        self._typed(entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL), value, message)
        return message.field.add(name=name, number=int(number), label=_Field.LABEL_REPEATED, type=_Field.TYPE_MESSAGE, type_name=entry.name)

    @staticmethod
    def _typed(
        field: descriptor_pb2.FieldDescriptorProto, kind: str, message: descriptor_pb2.DescriptorProto
    ) -> descriptor_pb2.FieldDescriptorProto:
        if kind in _SCALARS:
            field.type = _SCALARS[kind]
        else:
            field.type_name = kind
            own_enum = any(each.name == kind for each in message.enum_type)
            field.type = _Field.TYPE_ENUM if own_enum else _Field.TYPE_MESSAGE
        return field
