"""python -m pytracking.check: does everything compute the same on this machine's GPU, its kernels, and plain PyTorch?

results      one line of the report, and the error that it tells
jobs         work in a process of its own, which may crash or hang without ending the check
machine      what the machine is, and the build of the kernels
operators    PrRoIPool in each precision against its torch form in float64
networks     the tracker's networks against the same in float64
refusals     calls that have to be refused, and not to end the interpreter
tracking     a sequence, tracked in each way
training     ten steps of `bbreg ebm` in each way
speed        PrRoIPool's kernels beside its torch form
"""
