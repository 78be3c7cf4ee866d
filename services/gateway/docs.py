"""``/docs``: the OpenAPI document as one page of HTML, without scripts, fonts or other hosts."""

from __future__ import annotations

import json
import re
from html import escape
from typing import TYPE_CHECKING, Any, Final

from services.gateway.problems import PROBLEM_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #2a7de1; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 small { font-size: .5em; font-weight: normal; opacity: .7; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
code { background: var(--soft); padding: .1em .3em; border-radius: 4px; }
pre { background: var(--soft); padding: .8rem; border-radius: 6px; overflow-x: auto; }
pre code { background: none; padding: 0; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .6rem 0; padding: .5rem .8rem; }
summary { cursor: pointer; } summary code { background: none; font-weight: 600; }
.method { display: inline-block; min-width: 4.2em; color: var(--accent); }
.method { font: 600 13px ui-monospace, monospace; }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; }
td, th { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; }
td, th { border-top: 1px solid var(--line); }
a { color: var(--accent); }
"""


def page(document: Mapping[str, Any]) -> str:
    """Return the page of an OpenAPI document."""
    title = escape(document["info"]["title"])
    return "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{title} <small>version {escape(document['info']['version'])}</small></h1>",
            f"<p>{_prose(document['info'].get('description', ''))}</p>",
            '<p><a href="/openapi.json">openapi.json</a></p>',
            *_routes(document),
            *_types(document),
            *_problems(),
            "</body></html>",
        )
    )


def _prose(markdown: str) -> str:
    paragraphs = escape(markdown.strip(), quote=False).replace("\n\n", "</p><p>")
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", paragraphs)


def _routes(document: Mapping[str, Any]) -> Iterator[str]:
    tag = None
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if (operation := methods.get(method)) is None:
                continue
            here = next(iter(operation.get("tags", ())), "other")
            if here != tag:
                tag = here
                yield f"<h2>{escape(tag.capitalize())}</h2>"
            yield from _operation(path, method, operation)


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f'<details><summary><span class="method">{method.upper()}</span> <code>{escape(path)}</code> '
        f"{escape(operation.get('summary', ''))}</summary>"
    )
    yield f"<p>{_prose(operation.get('description', ''))}</p>"
    if parameters := operation.get("parameters"):
        yield "<table><tr><th>parameter</th><th>in</th><th>type</th><th></th></tr>"
        for parameter in parameters:
            about = _prose(parameter.get("description", ""))
            yield (
                f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{escape(parameter['in'])}</td>"
                f"<td>{_schema(parameter['schema'])}</td><td>{about}</td></tr>"
            )
        yield "</table>"
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield f"<p>Body {_schema(content['schema'])}</p>{_example(content.get('example'))}"
    for status, answer in operation["responses"].items():
        yield f"<p><code>{escape(str(status))}</code> {_prose(answer['description'])}</p>"
        for content in answer.get("content", {}).values():
            yield _example(content.get("example"))
    yield "</details>"


def _schema(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{escape(name)}">{escape(name)}</a>'
    if alternatives := schema.get("anyOf"):
        return " or ".join(_schema(alternative) for alternative in alternatives)
    if "enum" in schema:
        return " ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    kind = escape(str(schema.get("type", "any")))
    if kind == "array" and isinstance(schema.get("items"), dict) and schema["items"]:
        return f"array of {_schema(schema['items'])}"
    bounds = [f"{schema[key]}" for key in ("minimum", "maximum") if key in schema]
    default = f", default {escape(str(schema['default']))}" if "default" in schema else ""
    return kind + (f" {'-'.join(bounds)}" if bounds else "") + default


def _example(example: object) -> str:
    if example is None:
        return ""
    text = example if isinstance(example, str) else json.dumps(example, ensure_ascii=False, indent=1)
    return f"<pre><code>{escape(text, quote=False)}</code></pre>"


def _types(document: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Types</h2>"
    for name, schema in document["components"]["schemas"].items():
        yield f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{_prose(schema.get("description", ""))}</p>'
        if "properties" not in schema:
            yield f"<p>{_schema(schema)}</p>"
            continue
        yield "<table>"
        for field, about in schema["properties"].items():
            yield (
                f"<tr><td><code>{escape(field)}</code></td><td>{_schema(about)}</td>"
                f"<td>{_prose(about.get('description', ''))}</td></tr>"
            )
        yield "</table>"


def _problems() -> Iterator[str]:
    yield "<h2>Problems</h2><p>The <code>type</code> of each leads here.</p><table>"
    for problem in PROBLEM_TYPES:
        yield (
            f'<tr id="{problem.slug}"><td><code>{problem.status}</code></td><td>{escape(problem.title)}</td>'
            f"<td>{escape(problem.remedy, quote=False)}</td></tr>"
        )
    yield "</table>"
