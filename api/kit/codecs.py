"""Lists of codecs as clients and settings write them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from acd.codecs import check, names

Codecs = Annotated[
    tuple[str, ...],
    AfterValidator(check),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "string", "enum": list(names())},
            "minItems": 1,
            "maxItems": len(names()),
            "uniqueItems": True,
        }
    ),
]
