"""Many machines: calls by workers on a Ray cluster, in the shape of :mod:`ltr.common.executors`.

Ray places workers, tells when one is lost, and carries bytes. What a worker computes, it computes in a process of its
own, the very one that :class:`ltr.common.executors.ProcessExecutor` starts on this machine.
"""
