"""Self-contained HTML pages: everything a page shows is inside it."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from singulab.errors import MissingExtraError
from singulab.files import write_atomic


def render(template: str, context: Mapping[str, Any]) -> str:
    """Fill a template of ``report/templates``.

    Args:
        template: its file name, such as ``"demo.html"``.
        context: what it shows; a name that the template asks for and that is missing is an error.

    Returns:
        A whole HTML document without reference to any other file or address.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtraError("jinja2", extra="report") from error
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("singulab.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = data_uri
    return environment.get_template(template).render(context)


def write(path: Path, html: str) -> None:
    """Write a page, whole or not at all."""
    write_atomic(path, html.encode())


def data_uri(content: Any) -> str:
    """JSON of plain containers as an address that carries its own content."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    return "data:application/json;base64," + base64.b64encode(text.encode()).decode()
