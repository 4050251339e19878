"""Which AWS operations a function can reach: its handler is read, and everything it calls in src/fleetcast.

Methods are followed by name. Where the type of a receiver cannot be read off the source, every class that the handler
can reach and that has such a method counts: the graph may hold too much, never too little.
"""

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import botocore.session
from tests.static.stack import ROOT

SOURCES = ROOT / "src"
_Definition = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign
FOREIGN = "foreign"  # a value whose class is not ours


@dataclass(frozen=True)
class Call:
    """An AWS operation, by boto3's name of the service and the API's name of the operation."""

    service: str
    operation: str


@dataclass(frozen=True)
class Place:
    """A definition: module, name, and the class around a method."""

    module: str
    name: str
    owner: str = ""


@dataclass
class Module:
    """What a module defines, and what it takes from others of this project."""

    name: str
    path: Path
    definitions: dict[str, _Definition] = field(default_factory=dict)
    imported: dict[str, Place] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str, path: Path) -> "Module":
        module = cls(name, path)
        tree = ast.parse(path.read_text())
        for statement in tree.body:
            if isinstance(statement, _Definition):
                module.definitions |= dict.fromkeys(_names(statement), statement)
        for node in ast.walk(tree):  # imports inside functions count as well
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fleetcast"):
                module.imported |= {a.asname or a.name: Place(node.module or "", a.name) for a in node.names}
        return module


def _names(node: _Definition) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        yield node.name
    else:
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            yield from _assigned(target)


@functools.cache
def project_module(name: str) -> Module | None:
    path = SOURCES / Path(*name.split("."))
    found = next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.exists()), None)
    return Module.read(name, found) if found else None


class Graph:
    """Everything that one handler can reach."""

    def __init__(self, handler: Path) -> None:
        self._modules = {"handler": Module.read("handler", handler)}
        self._seen = set[Place]()
        self._classes = set[Place]()
        self._unknown = set[str]()
        self.calls = set[Call]()
        self._follow([Place("handler", "lambda_handler")])

    def module(self, name: str) -> Module | None:
        return self._modules.get(name) or project_module(name)

    def _follow(self, todo: list[Place]) -> None:
        while todo:
            place = todo.pop()
            if place not in self._seen:
                self._seen.add(place)
                todo += self._read(place)
            if not todo:
                todo = [p for p in self._by_name() if p not in self._seen]

    def _by_name(self) -> Iterator[Place]:
        """Yield the methods that a receiver of unknown class may have meant."""
        for owner in self._classes:
            for name in self._methods(owner) & self._unknown:
                yield Place(owner.module, name, owner.name)

    def _methods(self, owner: Place) -> set[str]:
        node = self.definition(owner)
        body = node.body if isinstance(node, ast.ClassDef) else []
        return {member.name for member in body if isinstance(member, ast.FunctionDef)}

    def definition(self, place: Place) -> ast.AST | None:
        module = self.module(place.module)
        if module is None:
            return None
        if not place.owner:
            return module.definitions.get(place.name)
        owner = module.definitions.get(place.owner)
        members = owner.body if isinstance(owner, ast.ClassDef) else []
        return next((m for m in members if isinstance(m, ast.FunctionDef) and m.name == place.name), None)

    def _read(self, place: Place) -> list[Place]:
        node = self.definition(place)
        if node is None:
            return []
        if isinstance(node, ast.ClassDef):
            self._classes.add(place)
            special = [name for name in self._methods(place) if name.startswith("__")]
            bases = [found for base in node.bases if (found := self.lookup(place.module, base))]
            return [*bases, *(Place(place.module, name, place.name) for name in special)]
        scope = Scope(self, place, node)
        places: list[Place] = []
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and (named := self.lookup(place.module, part)):
                places.append(named)
            elif isinstance(part, ast.Attribute):
                places += self._attribute(scope, part)
        return places

    def _attribute(self, scope: "Scope", node: ast.Attribute) -> list[Place]:
        receiver = scope.infer(node.value)
        if isinstance(receiver, Place):
            return [Place(receiver.module, node.attr, receiver.name)]
        if receiver and receiver.startswith("client:"):
            self._call(receiver.removeprefix("client:"), node, scope)
        elif receiver is None:
            self._unknown.add(node.attr)
        return []

    def _call(self, service: str, node: ast.Attribute, scope: "Scope") -> None:
        method = node.attr
        if method in ("exceptions", "meta"):
            return
        if method in ("get_paginator", "get_waiter"):
            argument = next(
                part.args[0]
                for part in ast.walk(scope.node)
                if isinstance(part, ast.Call) and part.func is node
            )
            method = ast.literal_eval(argument)
        self.calls.add(Call(service, operation_of(service, method)))

    def lookup(self, module_name: str, node: ast.AST) -> Place | None:
        """Return the definition of ours that a name stands for."""
        module = self.module(module_name)
        if not isinstance(node, ast.Name) or module is None:
            return None
        if node.id in module.definitions:
            return Place(module_name, node.id)
        return module.imported.get(node.id)


@dataclass
class Scope:
    """One function or assignment, and what is known of the classes of its names."""

    graph: Graph
    place: Place
    node: ast.AST
    asked: frozenset[str] = frozenset()  # names that are being inferred: one may be assigned from itself

    def infer(self, node: ast.AST) -> Place | str | None:
        """Return our class, `client:<service>`, FOREIGN, or None where nothing is known."""
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        return None if isinstance(node, ast.Attribute) else FOREIGN

    def _name(self, node: ast.Name) -> Place | str | None:
        if node.id in ("self", "cls") and self.place.owner:
            return Place(self.place.module, self.place.owner)
        found = self.graph.lookup(self.place.module, node)
        if found:
            return found if isinstance(self.graph.definition(found), ast.ClassDef) else None
        for part in ast.walk(self.node):
            if isinstance(part, ast.arg) and part.arg == node.id:
                return self._annotation(self.place.module, part.annotation)
            if isinstance(part, ast.AnnAssign) and node.id in _assigned(part.target):
                return self._annotation(self.place.module, part.annotation)
            if isinstance(part, ast.Assign) and any(node.id in _assigned(target) for target in part.targets):
                return self._value(node.id, part.value)
        return FOREIGN

    def _value(self, name: str, value: ast.AST) -> Place | str | None:
        if name in self.asked:
            return None
        return Scope(self.graph, self.place, self.node, self.asked | {name}).infer(value)

    def _call(self, node: ast.Call) -> Place | str | None:
        if isinstance(node.func, ast.Name) and node.func.id == "client":
            return f"client:{ast.literal_eval(node.args[0])}"
        if isinstance(node.func, ast.Attribute):
            receiver = self.infer(node.func.value)
            if isinstance(receiver, Place):
                return self._returned(Place(receiver.module, node.func.attr, receiver.name))
            return FOREIGN if receiver else None
        found = self.graph.lookup(self.place.module, node.func)
        definition = self.graph.definition(found) if found else None
        if found and isinstance(definition, ast.ClassDef):
            return found
        if found and isinstance(definition, ast.Assign):  # `x = cache(lambda: Thing())`, called as x()
            made = [part.body for part in ast.walk(definition) if isinstance(part, ast.Lambda)]
            return Scope(self.graph, found, definition).infer(made[0]) if made else None
        return self._returned(found) if found else FOREIGN

    def _returned(self, place: Place) -> Place | str | None:
        definition = self.graph.definition(place)
        returns = definition.returns if isinstance(definition, ast.FunctionDef) else None
        return self._annotation(place.module, returns)

    def _annotation(self, module: str, node: ast.AST | None) -> Place | str | None:
        if node is None:
            return None
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node = ast.parse(node.value, mode="eval").body
        found = self.graph.lookup(module, node)
        if found and "Protocol" in ast.dump(self.graph.definition(found) or ast.Pass()):
            return None  # whoever behaves like it
        return found or FOREIGN


def _assigned(target: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}


@functools.cache
def operation_of(service: str, method: str) -> str:
    """Return the API's name of a boto3 method."""
    model = botocore.session.get_session().get_service_model(service)
    names = {botocore.xform_name(name): name for name in model.operation_names}
    assert method in names, f"boto3's client of {service} has no method {method}"
    return str(names[method])
