"""ECR's words for evidence."""

import ast
import inspect
import sys

import boto3

from openecr.scan.catalogers import CATALOGERS
from openecr.scan.package_managers import PACKAGE_MANAGERS, package_manager


def test_values_are_those_of_the_service_model() -> None:
    shape = boto3.client("inspector2", region_name="us-east-1").meta.service_model.shape_for("PackageManager")
    assert {word for word in PACKAGE_MANAGERS.values() if word} <= set(shape.enum)


WITHOUT_PACKAGES = frozenset({"os-release"})


def test_every_kind_that_a_cataloger_may_give_has_its_word() -> None:
    """A cataloger's name is a kind unless its module says otherwise by a text that is one."""
    for cataloger in CATALOGERS:
        if cataloger.name in WITHOUT_PACKAGES:
            continue
        module = ast.parse(inspect.getsource(sys.modules[cataloger.read.__module__]))
        if cataloger.name == "os-release":  # it tells of the distribution, and of no package
            continue
        texts = {
            node.value for node in ast.walk(module) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert cataloger.name in PACKAGE_MANAGERS or texts & PACKAGE_MANAGERS.keys(), cataloger.name


def test_a_kind_without_a_word_has_none() -> None:
    assert package_manager("dpkg") == "OS"
    assert package_manager("pubspec-lock") is None
    assert package_manager("unheard-of") is None
