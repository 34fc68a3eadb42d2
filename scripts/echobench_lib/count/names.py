"""Names of functions as valgrind demangles them, shortened for people."""

import re

PARTS = 3  # of a qualified name that are kept
SIGNS = {"«": "<<", "‹": "<", "→": "->", "❨❩": "()"}  # in place of the characters of an operator's name


def shorten(name: str) -> str:
    """`void echobench::(anonymous namespace)::loop<int>::run(std::stop_token const&)` as `echobench::loop::run`; what
    has no symbol stays as it is."""
    text = name.replace("(anonymous namespace)::", "")
    for sign, meant in SIGNS.items():
        text = text.replace(f"operator{meant}", f"operator{sign}")
    text, kept = _without(text, "<", ">"), ""
    while kept != text:  # arguments of the lambda that a name lies in, too
        kept, text = text, _without(text, "(", ")")
    text = re.sub(r"(\[(abi:|clone )[^]]*\]|(?<=\S) (const|volatile)\b|&|\*)", "", text).strip()
    if not re.search(r"\boperator ", text):  # a conversion's name has a space
        text = text.rsplit(" ", 1)[-1]
    text = "::".join(text.split("::")[-PARTS:])
    for sign, meant in SIGNS.items():
        text = text.replace(sign, meant)
    return text or name


def _without(text: str, opening: str, closing: str) -> str:
    """The text but what stands between brackets."""
    kept, depth = [], 0
    for letter in text:
        depth += letter == opening
        if not depth:
            kept.append(letter)
        depth -= letter == closing and depth > 0
    return "".join(kept)
