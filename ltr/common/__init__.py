"""What every part of `ltr` and `pytracking` shares: errors, files, plain data, settings, paths, device, seeds, images.

Nothing here imports from another folder of `ltr`.
"""
