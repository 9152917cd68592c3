"""An executor for tests, without processes."""

from concurrent.futures import Executor, Future


class Here(Executor):
    """Makes calls in this very process: another executor under the same code."""

    def __init__(self, jobs):
        self.cancelled = False

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        if self.cancelled:
            future.cancel()
            return future
        future.set_running_or_notify_cancel()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future

    def interrupt(self):
        self.cancelled = True
