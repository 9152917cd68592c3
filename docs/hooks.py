"""What MkDocs does not do by itself: pages from outside docs/, links into the source tree, formulas and Sphinx roles.

* CONTRIBUTING.md, CHANGELOG.md and the description of the shipped heads become pages of the site.
* A link to any other file of the repository becomes plain code: the site does not hold that file.
* Formulas (`$...$`, `.. math::`) become MathML while the site is built, so that readers need no script.
* Sphinx roles in docstrings (:func:`name`) become links, or code where the API pages do not show the name.
* A built page that loads anything from another host is a warning, and an error with `--strict`.
"""

import posixpath
import re
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

from latex2mathml.converter import convert
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor
from markdown.preprocessors import Preprocessor
from mkdocs.plugins import event_priority, get_plugin_logger
from mkdocs.structure.files import File

log = get_plugin_logger("docs.site")
ROOT = Path(__file__).resolve().parents[1]

#: Files of the repository that are pages of the site.
PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "pytracking/networks/README.md": "networks.md",
}
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)\s]+)\)")
#: Code in running text, and whatever holds code that stays as it is.
_CODE = re.compile(r"<(?:pre|h\d|autoref|a)\b.*?</(?:pre|h\d|autoref|a)>|(<code>([A-Za-z_][\w.]*)</code>)", re.DOTALL)
_LOADED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?https?:[^>]*|<link\b[^>]*\bhref=[\"']?https?:[^>]*"
)


def on_config(config):
    config.markdown_extensions.append(_DocstringExtension())


def on_files(files, config):
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown, page, config, files):
    """Links as they are right in the repository -> links as they are right on the site."""
    source = {page: source for source, page in PAGES.items()}.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def replace(match):
        text, target = match.groups()
        path, hash_, anchor = target.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if path in PAGES:
            path = PAGES[path]
        elif path.startswith("docs/"):
            path = path.removeprefix("docs/")
        else:
            return text if text.startswith("`") else f"`{text}`"
        return f"[{text}]({posixpath.relpath(path, posixpath.dirname(page.file.src_uri) or '.')}{hash_}{anchor})"

    return _LINK.sub(replace, markdown)


@event_priority(100)  # before the plugin `autorefs`, which resolves what is left here
def on_env(env, config, files):
    """Names without their module -> full names, where only one object of the API pages has that name."""
    known = config.plugins["autorefs"]._primary_url_map
    by_ending = {}
    for full in known:
        parts = full.split(".")
        for k in range(1, len(parts)):
            by_ending.setdefault(".".join(parts[k:]), set()).add(full)

    def full_name(name):
        found = by_ending.get(name) or by_ending.get(name.removeprefix("ebm_common."), set())  # ebm_common.Energy
        found = {full for full in found if not full.split(".")[-2][0].isupper()} or found  # functions before methods
        return next(iter(found)) if name not in known and len(found) == 1 else name

    def resolve(match):
        return f'identifier="{full_name(match[1])}"'

    def link(match):
        """Code that is the name of a documented function, class or module; not of a method or a parameter."""
        full = full_name(match[2]) if match[2] else ""
        parts = full.split(".")
        if full not in known or len(parts) < 2 or ("." not in match[2] and parts[-2][0].isupper()):
            return match[0]
        return f'<autoref identifier="{full}" optional>{match[1]}</autoref>'

    for file in files.documentation_pages():
        if file.page.content:
            html = re.sub(r'identifier="([^"]+)"(?= optional)', resolve, file.page.content)
            file.page.content = _CODE.sub(link, html)


def on_post_page(output, page, config):
    for match in _LOADED.finditer(output):
        if 'rel="canonical"' not in match[0]:
            log.warning("%s loads from another host: %s", page.file.src_uri, match[0][:120])


class _DocstringExtension(Extension):
    def extendMarkdown(self, md):  # noqa: N802 (the name that Markdown calls)
        md.preprocessors.register(_Blocks(md), "docstring_blocks", 27)  # after fenced code was taken out
        md.inlinePatterns.register(_Role(r":(?:py:)?([a-z]+):`(~?)([^`]+)`", md), "sphinx_role", 195)
        md.inlinePatterns.register(_Math(r"(?<![\\$\w])\$([^$\s](?:[^$]*[^$\s])?)\$(?![\w$])", md), "dollar_math", 185)


class _Blocks(Preprocessor):
    """`.. math::` with its indented lines -> MathML; `>>>` lines -> a block of code; `text::` before one -> `text:`."""

    def run(self, lines):
        result, k = [], 0
        while k < len(lines):
            line = lines[k]
            start = re.match(r"( *)\.\. math::\s*(.*)", line)
            k += 1
            if line.startswith(">>> "):
                end = next((e for e in range(k, len(lines)) if not lines[e].strip()), len(lines))
                result += ["```pycon", line, *lines[k:end], "```"]
                k = end
                continue
            if not start:
                literal = line.endswith("::") and not line.startswith("    ") and k < len(lines)
                result.append(line[:-1] if literal else line)
                continue
            indent, formula = len(start[1]), [start[2]]
            while k < len(lines) and lines[k].strip() and len(lines[k]) - len(lines[k].lstrip()) > indent:
                formula.append(lines[k].strip())
                k += 1
            html = convert(" ".join(formula).strip(), display="block")
            result += ["", self.md.htmlStash.store(html), ""]
        return result


class _Role(InlineProcessor):
    def handleMatch(self, match, data):  # noqa: N802
        role, short, name = match.groups()
        if role == "math":
            return self.md.htmlStash.store(convert(name)), *match.span()
        element = Element("autoref", {"identifier": name, "optional": ""})
        SubElement(element, "code").text = name.rpartition(".")[2] if short else name
        return element, *match.span()


class _Math(InlineProcessor):
    def handleMatch(self, match, data):  # noqa: N802
        return self.md.htmlStash.store(convert(match[1])), *match.span()
