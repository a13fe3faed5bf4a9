"""Saving rows so that what is wrong with them is said at the field it belongs to."""

from __future__ import annotations

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, models, transaction

from console.lib.errors import BadInput


def save_new(row: models.Model) -> None:
    """Validate the row, its constraints included, and insert it. Raises BadInput with the first field at fault."""
    try:
        row.full_clean()
        with transaction.atomic():
            row.save(force_insert=True)
    except ValidationError as error:
        raise _bad_input(error) from error
    except IntegrityError as error:  # somebody was faster between the check and the insert
        raise _taken(row) from error


def save_changed(row: models.Model, *fields: str) -> None:
    """Validate the whole row and write `fields` of it. Raises BadInput with the first field at fault."""
    try:
        row.full_clean()
        with transaction.atomic():
            row.save(update_fields=fields)
    except ValidationError as error:
        raise _bad_input(error) from error
    except IntegrityError as error:
        raise _taken(row) from error


def _taken(row: models.Model) -> BadInput:
    """What somebody else has taken meanwhile, in the constraint's own words where it has some."""
    try:
        row.validate_unique(exclude={row._meta.pk.name})
        row.validate_constraints()
    except ValidationError as error:
        return _bad_input(error)
    return BadInput("Somebody else saved the same thing a moment ago.", remedy="Load the page again.")


def _bad_input(error: ValidationError) -> BadInput:
    if not hasattr(error, "error_dict"):
        return BadInput(" ".join(error.messages))
    field, messages = next(iter(error.message_dict.items()))
    return BadInput(" ".join(messages), field="" if field == NON_FIELD_ERRORS else field)
