"""Experiments: a module's functions return what `ebm-experiment <module> <function>` runs. `paper.py` is an example."""
