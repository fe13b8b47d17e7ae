"""Rules about secrets in components and endpoints: secrets in plain text, and references to secret stores."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.doctor.document import ConfigDocument
from bridge.doctor.findings import FindingLevel, Hit, hit, misspelt, rule
from bridge.doctor.project import DoctorProject, same_namespace, together
from bridge.doctor.values import PLACEHOLDER, component_type, is_truth, metadata, metadata_text

_SECRET = re.compile(
    r"(password|passphrase|secret|masterkey|accountkey|accesskey|secretkey|encryptionkey|storageaccountkey|sharedaccesskey|token|privatekey"
    r"|private_key|sastoken|apikey)$",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(r"azureClientId|tokenUri|tokenUrl|secretName|tokenPath|secretKeyRef", re.IGNORECASE)
_FILE = re.compile(r"[./][\w./-]*|[\w-]+\.(key|pem|crt|json)")
SECRET_INSIDE = re.compile(
    r"(SharedAccessKey|AccountKey|password|pwd|SharedAccessSignature)\s*=\s*[^;\s{$]+|://[^/\s:@]+:[^/\s@]+@", re.IGNORECASE
)


def _components(project: DoctorProject) -> Iterator[ConfigDocument]:
    return project.of_kind("Component", dapr=True)


@rule("secret-in-file", FindingLevel.ERROR, "Whoever can read the file, the repository or the resource in the cluster has the secret.")
def secret_in_file(project: DoctorProject) -> Iterator[Hit]:
    """A secret in plain text in a component or an HTTPEndpoint."""
    for document in _components(project):
        for index, name in metadata(document):
            value = metadata_text(document, name)
            if value and _is_secret(name, value):
                path = ("spec", "metadata", index, "name")
                mend = "Put it into a secret store, and refer to it with secretKeyRef."
                yield hit(document, path, f"{name} is in the file as plain text.", mend)
    for document in project.of_kind("HTTPEndpoint", dapr=True):
        for index, header in document.items("spec", "headers"):
            name = str(header.get("name", "")) if isinstance(header, dict) else ""
            value = str(header.get("value") or "") if isinstance(header, dict) else ""
            if value and not PLACEHOLDER.search(value) and re.search(r"key|token|authorization|secret", name, re.IGNORECASE):
                yield hit(document, ("spec", "headers", index), f"{name} is in the file as plain text.", "Refer to it with secretKeyRef.")


def _is_secret(name: str, value: str) -> bool:
    if PLACEHOLDER.search(value):
        return False
    if SECRET_INSIDE.search(value) and not value.startswith("file:"):
        return "UseDevelopmentEmulator=true" not in value
    is_named = bool(_SECRET.search(name)) and not _NO_SECRET.search(name)
    return is_named and not is_truth(value) and not _FILE.fullmatch(value)


@rule("secret-store-unknown", FindingLevel.ERROR, "The references are not resolved: values are empty, and calls are sent without a key.")
def secret_store_unknown(project: DoctorProject) -> Iterator[Hit]:
    """A secret store that is not among the components, or none although all other references beside it name one."""
    vaults = [each for each in project.of_kind("Component", dapr=True) if component_type(each).startswith("secretstores.")]
    for document in project.of_kind("Component", "HTTPEndpoint", dapr=True):
        if not _has_references(document):
            continue
        store = str(document.get("auth", "secretStore", default=""))
        stores = {each.name for each in vaults if together(each.file, document.file) and same_namespace(each, document)}
        if store and stores and store not in {*stores, "kubernetes"}:
            path = ("auth", "secretStore")
            found = hit(document, path, f"No secret store is named {store}.", f"There is {', '.join(sorted(stores))}.")
            yield misspelt(found, document, path, stores)
        elif not store and stores and _others_name_one(project, document):
            mend = f"Add auth: {{secretStore: {min(stores)}}}; without it Dapr reads Kubernetes Secrets."
            yield hit(document, ("metadata", "name"), f"{document.name} has secretKeyRef and names no secret store.", mend)


def _has_references(document: ConfigDocument) -> bool:
    entries = [*document.items("spec", "metadata"), *document.items("spec", "headers")]
    return any(isinstance(each, dict) and each.get("secretKeyRef") for _, each in entries)


def _others_name_one(project: DoctorProject, document: ConfigDocument) -> bool:
    others = [each for each in project.beside(document, "Component", "HTTPEndpoint") if each is not document and _has_references(each)]
    return bool(others) and all(each.get("auth", "secretStore") for each in others)
