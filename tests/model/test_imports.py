"""`model/` imports numpy and the standard library only."""

import sys

import grimp


def test_the_model_imports_numpy_and_the_standard_library_only() -> None:
    graph = grimp.build_graph("streetlight", include_external_packages=True)
    imported = {
        name.partition(".")[0]
        for module in graph.find_descendants("streetlight.model")
        for name in graph.find_modules_directly_imported_by(module)
    }
    assert imported - sys.stdlib_module_names == {"numpy", "streetlight"}
