"""Reports constructs of a Python file that Python 2.7 does not have in the same form. Usage: python-2.7.py FILE

Checks the file against an allow-list of syntax (Python 2.7 Language Reference) and of attributes of modules. Reports the
line of every construct that is not on the list. Constructs that both versions accept but interpret differently (print,
division, str as bytes) are not on the list either.
"""

import ast
import sys

SYNTAX = """
Add And Assign Attribute BinOp BitAnd BitOr BoolOp Call Compare Constant Dict Eq Expr For FunctionDef Gt GtE If IfExp
Import ImportFrom In Is IsNot List Load Lt LtE Module Name Not NotEq NotIn Or Pass Raise Return Store Sub Subscript Tuple
UnaryOp alias arg arguments keyword
""".split()

# Attributes of the modules in Python 2.7. The attributes of a module that is not listed here are not checked.
ATTRIBUTES = {"os": ["access", "path", "statvfs", "W_OK", "R_OK"]}


def problems(tree):
    """Yields (line, text) for each problem."""
    for node in ast.walk(tree):
        kind = type(node).__name__
        line = getattr(node, "lineno", 0)
        if kind not in SYNTAX:
            yield line, "syntax: " + kind
        if isinstance(node, ast.FunctionDef) and (node.returns or node.args.kwonlyargs or node.args.posonlyargs):
            yield line, "signature of " + node.name
        if isinstance(node, ast.arg) and node.annotation:
            yield line, "annotation of " + node.arg
        if isinstance(node, ast.Raise) and node.cause:
            yield line, "raise from"
        if isinstance(node, ast.ImportFrom) and node.level:
            yield line, "relative import"
        if isinstance(node, ast.Name) and node.id in ("print", "super", "input", "bytes", "str", "open", "round", "map"):
            yield line, "name with another meaning: " + node.id
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr not in ATTRIBUTES.get(node.value.id, [node.attr]):
                yield line, "%s.%s" % (node.value.id, node.attr)


def main(file):
    """Prints a line for each problem. Returns 1 if there is a problem."""
    with open(file, encoding="ascii") as source:
        found = sorted(problems(ast.parse(source.read())))
    for line, text in found:
        print("%s:%d: not in Python 2.7: %s" % (file, line, text))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
