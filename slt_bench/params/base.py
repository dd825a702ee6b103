"""The types that all parameters are built from."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    JsonValue,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

NAME = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
Name = Annotated[str, Field(pattern=NAME, max_length=60, description="lower case, digits and hyphens")]
Ratio = Annotated[float, Field(ge=0, le=1), AfterValidator(lambda ratio: ratio + 0.0)]  # of -0.0, which is no other, 0.0
Rgb = Annotated[list[Ratio], Field(min_length=3, max_length=3)]
PositiveRgb = Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=3, max_length=3)]
# Of a plug-in: plain values, which only it understands.
Options = Annotated[dict[str, JsonValue], WithJsonSchema({"type": "object"})]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class _OneOrMany:
    """An annotation of a list: its only item may be written without brackets, in params.yaml and in the JSON schema."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def as_list(value: Any) -> Any:
            return value if isinstance(value, list) else [value]

        return core_schema.no_info_before_validator_function(as_list, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        many = handler(schema)
        return {"anyOf": [many["items"], many]}


T = TypeVar("T")
Axis = Annotated[list[T], Field(min_length=1), _OneOrMany()]  # a list spans the grid of a row


class Model(BaseModel):
    """The base of all groups of parameters: unknown keys are refused, and no value is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
