"""Equation to code: what is implemented says which equation it is, and names no equation wrongly.

A citation is ``Eq. 12``, ``Eqs. 4, 12 and 13`` or ``Eqs. 12-13`` in a docstring; ``Alg. 1`` is an
algorithm. It belongs to the paper named last before it in the same docstring, else to the first paper
that the module's docstring names.
"""

import ast
import re
from pathlib import Path

import pytest

import workbench
from workbench.lab.published import PAPERS, equations

PACKAGE = Path(workbench.__file__).parent

# Which module implements which equations so far. Whoever implements one adds it here.
IMPLEMENTED = {
    "baselines/long_history.py": {"ENCODE": "2a 3"},
    "data/histories.py": {"LIFT": "1"},
    "lab/contexts.py": {"LIFT": "11"},
    "lab/long_measures.py": {"ENCODE": "text-2"},
    "methods/backbones.py": {},
    "methods/dualrec.py": {"DualRec": "1 2 3 4 5 6 7 9 10 11 14"},
    "methods/dualrec_config.py": {"DualRec": "8"},
    "methods/dualrec_controls.py": {},
    "methods/lcn.py": {"LCN": "2 3 4 5 6 7 8 10 12 13 14"},
    "methods/lift.py": {"LIFT": "3 5 6 7 8 9 10 14 14a 15 16 17 18"},
    "methods/clustering.py": {"ENCODE": "11"},
    "methods/encode.py": {"ENCODE": "2 4 5 6 7 8 9 10 11 12 12a text-1 Alg1"},
    "methods/long_history.py": {"LCN": "1 9 11 text-1", "ENCODE": "1"},
    "methods/next_item.py": {"DualRec": "12 13"},
    "methods/retrieval.py": {"LIFT": "4 12 13"},
}
# Once a paper's own module is there, every equation of the paper is in the table above, or here with
# the reason why no code could be it.
WHOLE_PAPER = {"lift.py": "LIFT", "dualrec.py": "DualRec", "lcn.py": "LCN", "encode.py": "ENCODE"}
NOT_CODE = {
    ("LIFT", "2"): "the form of the models LIFT is compared with",
    ("LIFT", "19"): "repeats Eq. 11",
    ("LIFT", "C-1"): "a complexity; claim L26 measures it",
    ("DualRec", "C-1"): "a complexity; claim D20 measures it",
    ("ENCODE", "C-1"): "a complexity; claim E28 measures it",
}

NUMBER = r"(?:text-|C-)?\d+[a-z]?"
CITATION = re.compile(
    rf"\b(?P<paper>{'|'.join(PAPERS)})\b"
    rf"|\bEqs?\.\s+(?P<numbers>{NUMBER}(?:(?:\s*[-–,]\s*|\s+(?:and|to)\s+){NUMBER})*)"
    rf"|\bAlg\.\s+(?P<algorithm>\d+)"
)


def docstrings(source: str) -> list[str]:
    """All docstrings of a module, its own first ("" if it has none)."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]


def spelled_out(numbers: str) -> list[str]:
    """'4, 12-14 and 14a' as single numbers."""
    result = []
    for part in re.split(r"\s*,\s*|\s+and\s+", numbers):
        ends = re.fullmatch(r"(\d+)(?:\s*[-–]\s*|\s+to\s+)(\d+)", part)
        result += map(str, range(int(ends[1]), int(ends[2]) + 1)) if ends else [part]
    return result


def citations(source: str) -> set[tuple[str | None, str]]:
    """(paper, equation number) pairs that the docstrings of a module cite; paper None if none is named."""
    texts = docstrings(source)
    home = next((match["paper"] for match in CITATION.finditer(texts[0]) if match["paper"]), None)
    found = set()
    for text in texts:
        paper = home
        for match in CITATION.finditer(text):
            if match["paper"]:
                paper = match["paper"]
            elif match["algorithm"]:
                found.add((paper, f"Alg{match['algorithm']}"))
            else:
                found |= {(paper, number) for number in spelled_out(match["numbers"])}
    return found


def listed(module: str) -> set[tuple[str, str]]:
    """The (paper, number) pairs of one line of the table."""
    return {(paper, n) for paper, numbers in IMPLEMENTED[module].items() for n in numbers.split()}


def uncited(source: str, wanted: set[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(wanted - citations(source))


def uncovered(paper: str) -> list[str]:
    """Equations of a paper that are neither in the table nor excused."""
    covered = set(NOT_CODE).union(*map(listed, IMPLEMENTED))
    return [number for number in equations(paper)["number"] if (paper, number) not in covered]


KNOWN = set(equations()[["paper", "number"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("module", IMPLEMENTED)
def test_an_implemented_equation_is_cited_where_it_is_implemented(module):
    missing = uncited((PACKAGE / module).read_text(encoding="utf-8"), listed(module))
    assert not missing, f"no docstring of {module} cites {missing}"


def test_the_tables_name_only_equations_of_the_papers():
    assert set().union(*map(listed, IMPLEMENTED)) <= KNOWN
    assert set(NOT_CODE) <= KNOWN


def test_every_citation_is_an_equation_of_its_paper():
    for path in sorted(PACKAGE.rglob("*.py")):
        named = {pair for pair in citations(path.read_text(encoding="utf-8")) if pair[0]}
        assert named <= KNOWN, f"{path.name} cites {sorted(named - KNOWN)}, which no paper has"


def test_every_method_module_that_names_a_paper_is_in_the_table():
    for path in sorted((PACKAGE / "methods").glob("[!_]*.py")):
        own = docstrings(path.read_text(encoding="utf-8"))[0]
        if any(match["paper"] for match in CITATION.finditer(own)):
            assert f"methods/{path.name}" in IMPLEMENTED


def test_a_paper_with_a_module_of_its_own_is_implemented_in_full():
    for module, paper in WHOLE_PAPER.items():
        if (PACKAGE / "methods" / module).exists():
            assert not uncovered(paper), f"{module} is there, but not these equations"


# --- the checks themselves ------------------------------------------------------------------------------


def test_an_uncited_equation_is_noticed():
    source = (PACKAGE / "methods" / "retrieval.py").read_text(encoding="utf-8")
    without = re.sub(r"Eqs?\. (4|12|13)", "the equation", source)
    assert uncited(without, listed("methods/retrieval.py"))
    assert "14" in uncovered("LIFT") or "methods/lift.py" in IMPLEMENTED
    assert "13" not in uncovered("LIFT")
    assert "19" not in uncovered("LIFT")


def test_citations_are_read_as_the_module_says():
    source = '''
"""LCN, Section 4: as in Eqs. 3, 4 and 5, and Eqs. 7-9."""
def f():
    """Eq. 14: the total loss; compare ENCODE Eq. 12a and Alg. 1."""
    # Eq. 1 in a comment is no citation
    return "Eq. 2"
class C:
    """text before DualRec, Eq.
    text-1, and Eqs. 9 to 10."""
'''
    assert citations(source) == {
        *(("LCN", number) for number in ("3", "4", "5", "7", "8", "9", "14")),
        ("ENCODE", "12a"),
        ("ENCODE", "Alg1"),
        *(("DualRec", number) for number in ("text-1", "9", "10")),
    }
    assert citations('def f():\n    """Eq. 3: whose?"""') == {(None, "3")}
