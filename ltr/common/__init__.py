"""What all parts of `ltr` and `pytracking` share: errors, files, plain data, settings, paths, device, seeds, images.

Nothing here imports from another folder of `ltr`.
"""
