"""The licences that the Hub knows, by the identifiers that a model card's `license` takes."""

from __future__ import annotations

import difflib
import re

from poker_env.errors import UserError

KNOWN = """
apache-2.0 mit openrail openrail++ bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0
bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0
cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0
cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0
cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl
lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl openmdw-1.0
osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license fair-noncommercial-research-license
llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 grok2-community gemma unknown other
"""
LICENCES = tuple(KNOWN.split())


def check_licence(given: str) -> str:
    """The identifier itself. Raises `UserError`, with those that are like it, for what the Hub doesn't know."""
    if given in LICENCES:
        return given
    slug = re.sub(r"[\s_]+", "-", given.strip().lower())
    bare = re.sub(r"-?(the|licen[cs]e|version|public|general)\b-?|-v(?=\d)", "-", slug).strip("-")
    near = [name for name in (slug, bare) if name in LICENCES] or difflib.get_close_matches(bare, LICENCES, 2)
    hint = f"did you mean {' or '.join(dict.fromkeys(near))}?" if near else "give one such as apache-2.0, mit or other"
    raise UserError(f"--license {given!r} is no identifier of the Hub's: {hint}")
