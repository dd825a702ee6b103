"""What made.json must hold for its table to be shown."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class _Part(BaseModel):
    model_config = ConfigDict(strict=True)


class _Line(_Part):
    setting: str
    row: dict[str, str]


class _Claim(_Part):
    claim: str
    of: str
    over: str
    effect: str
    n: str
    threshold: Annotated[str, Field(alias="must exceed")]
    published: str
    verdict: str


class _Made(_Part):
    title: str
    cells: int
    declared: int
    dates: list[str]
    hours: float
    hardware: list[str]
    commits: list[str]
    data: list[str]
    warnings: list[str]
    lines: Annotated[list[_Line], Field(min_length=1)]
    notes: list[str]
    claims_note: str
    claims: list[_Claim]


def check_made(made: dict[str, Any]) -> None:
    """Check that what is said of a kept table has all that a reader is shown.

    Args:
        made: the content of made.json.

    Raises:
        ValueError: something is missing or of another type; the place is named.
    """
    try:
        _Made.model_validate(made)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"made.json: {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from None
    headers = {tuple(line["row"]) for line in made["lines"]}
    if len(headers) > 1:
        raise ValueError("made.json: lines have unlike columns")
